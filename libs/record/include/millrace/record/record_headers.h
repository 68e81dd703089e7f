#pragma once

#include <string_view>

namespace millrace {

/// Headers of a log record of a stream with `format = 'json'`: the event's identity. Numbers in
/// decimal. Writers set all four or none; readers take an absent acked_below for 0
/// (docs/formats/json.md).
inline constexpr std::string_view kPrincipalHeader = "millrace-principal";
inline constexpr std::string_view kProducerHeader = "millrace-producer";
inline constexpr std::string_view kSequenceHeader = "millrace-seq";
inline constexpr std::string_view kAckedBelowHeader = "millrace-acked-below";

}  // namespace millrace
