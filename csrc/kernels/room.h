// Scratch of a kernel, described once: the same description counts the bytes and hands the arrays out.
//
// A layout takes its arrays from a Room in order. It is run twice: with an empty Room, which only counts, and with the
// memory that was then asked for.
//   struct Tables {
//     float* sums;
//     int32_t* places;
//     Tables(int64_t rows, Room& room) : sums(room.take<float>(rows)), places(room.take<int32_t>(rows)) {}
//   };
//   parallel_room(items, cost, [=](Room& room) { return Tables(rows, room); },
//                 [=](int64_t begin, int64_t end, const Tables& tables) { … });
#pragma once
#include "../memory.h"
#include "../parallel.h"

namespace fastnn::FASTNN_ISA {
namespace {

class Room {
 public:
  // Without memory, arrays are null: a layout may not touch them.
  explicit Room(void* memory = nullptr) : memory_(static_cast<char*>(memory)) {}

  // An array of n values. Every array starts on a cache line if the memory does.
  template <class U>
  U* take(int64_t n) {
    const size_t begin = bytes_;
    bytes_ += (size_t(n) * sizeof(U) + kLine - 1) / kLine * kLine;
    return memory_ ? reinterpret_cast<U*>(memory_ + begin) : nullptr;
  }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kLine = 64;
  char* memory_;
  size_t bytes_ = 0;
};

// Bytes that layout(room) takes.
template <class Layout>
size_t room_for(const Layout& layout) {
  Room room;
  layout(room);
  return room.bytes();
}

// A parallel loop of body(begin, end, layout(room)), where each thread has a room of its own.
template <class Layout, class Body>
inline void parallel_room(int64_t n, double cost, const Layout& layout, const Body& body) {
  parallel_scratch(n, cost, room_for(layout), [layout, body](int64_t begin, int64_t end, void* memory) {
    Room room(memory);
    body(begin, end, layout(room));
  });
}
// The same with of.scratch(room) as the layout.
template <class Of, class Body>
inline void parallel_with(int64_t n, double cost, const Of& of, const Body& body) {
  parallel_room(n, cost, [&of](Room& room) { return of.scratch(room); }, body);
}
// The same with an array of `values` values for each thread.
template <class T, class Body>
inline void parallel_values(int64_t n, double cost, int64_t values, const Body& body) {
  parallel_room(n, cost, [values](Room& room) { return room.take<T>(values); }, body);
}

// body(layout(room)), once, with memory for all threads of the loops in it. Where there is none, body is not run and
// the call fails, as where a thread has none.
template <class Layout, class Body>
inline void shared_room(const Layout& layout, const Body& body) {
  // Small rooms are on the stack: taking a block and giving it back is a tenth of a short call's time.
  alignas(64) char few[512];
  const size_t bytes = room_for(layout);
  size_t capacity = 0;
  void* const memory = bytes <= sizeof few ? few : take_scratch(bytes, &capacity);
  if (!memory) return note_out_of_memory();
  Room room(memory);
  body(layout(room));
  if (memory != few) give_block(memory, capacity);
}

// The same with an array of n values.
template <class T, class Body>
inline void shared_values(int64_t n, const Body& body) {
  shared_room([n](Room& room) { return room.take<T>(n); }, body);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
