// The filters, split over files by what they work on; jinja_filters.cc joins the tables.
#ifndef PUNA_CHAT_JINJA_JINJA_FILTERS_H_
#define PUNA_CHAT_JINJA_JINJA_FILTERS_H_

#include <span>
#include <string_view>

#include "chat/jinja/jinja_interpreter.h"

namespace puna::chat::jinja {

struct Filter {
  std::string_view name;
  Value (*call)(Interpreter&, const Value& input, Arguments&);
};

std::span<const Filter> TextFilters();
std::span<const Filter> NumberFilters();
std::span<const Filter> SequenceFilters();

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_FILTERS_H_
