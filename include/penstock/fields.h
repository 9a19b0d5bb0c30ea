// Records that list their fields. Whatever writes a record out (JSON, Prometheus, attributes in Python) walks
// its list, so that a new field is one line there.
//
//   struct Point {
//     double x = 0, y = 0;
//
//     template <class Visit>
//     static constexpr void fields(Visit&& visit) {
//       visit("x", &Point::x, "From the left.");
//       visit("y", &Point::y, "From the top.");
//     }
//   };
//   each_field(point, [](const char* name, double value, const char* doc) { ... });
//
// Layer: base.
#pragma once

#include <type_traits>

namespace penstock {

// visit(name, value, what it is) for each field of a record, in the order of its list. What a list says
// beyond that about a field is passed on behind.
template <class Record, class Visit>
constexpr void each_field(Record& record, Visit&& visit) {
  std::remove_const_t<Record>::fields(
      [&](const char* name, auto member, const char* doc, const auto&... more) {
        visit(name, record.*member, doc, more...);
      });
}

}  // namespace penstock
