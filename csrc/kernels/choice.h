// A choice between implementations: the first of a list that suits the problem at hand.
#pragma once
#include <type_traits>

namespace fastnn::FASTNN_ISA {
namespace {

// Makes one implementation after the other from the problem, and calls use(implementation) for the first whose suits()
// is true. Where `use` returns false, the next implementation that suits is tried.
template <class... Implementations, class Problem, class Use>
void first_that_suits(const Problem& problem, const Use& use) {
  const auto done = [&use](const auto& implementation) {
    if (!implementation.suits()) return false;
    if constexpr (std::is_void_v<decltype(use(implementation))>)
      return use(implementation), true;
    else
      return use(implementation);
  };
  (void)(done(Implementations{problem}) || ...);
}

}  // namespace
}  // namespace fastnn::FASTNN_ISA
