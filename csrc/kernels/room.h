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

// Runs body(begin, end, layout(room)) as a parallel loop over n items, in which each thread has a room of its own.
template <class Layout, class Body>
inline void parallel_room(int64_t n, double cost, const Layout& layout, const Body& body) {
  parallel_scratch(n, cost, room_for(layout), [layout, body](int64_t begin, int64_t end, void* memory) {
    Room room(memory);
    body(begin, end, layout(room));
  });
}
// parallel_room with of.scratch(room) as the layout.
template <class Of, class Body>
inline void parallel_with(int64_t n, double cost, const Of& of, const Body& body) {
  parallel_room(n, cost, [&of](Room& room) { return of.scratch(room); }, body);
}
// parallel_room in which each thread gets one array of `values` values.
template <class T, class Body>
inline void parallel_values(int64_t n, double cost, int64_t values, const Body& body) {
  parallel_room(n, cost, [values](Room& room) { return room.take<T>(values); }, body);
}

// Calls body(layout(room)) once, with memory that all threads of the loops in `body` share. Where there is no memory,
// body is not run and the call of the kernel fails, as it does where a thread gets no scratch.
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

// shared_room with one array of n values.
template <class T, class Body>
inline void shared_values(int64_t n, const Body& body) {
  shared_room([n](Room& room) { return room.take<T>(n); }, body);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
