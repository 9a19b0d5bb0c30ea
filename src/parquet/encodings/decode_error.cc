#include "parquet/encodings/decode_error.h"

namespace penstock::parquet {

const char* describe(DecodeError error) {
  switch (error) {
    case DecodeError::ok:
      return "ok";
    case DecodeError::truncated:
      return "the bytes end before the last value";
    case DecodeError::bad_width:
      return "a bit width that the type does not have";
    case DecodeError::bad_header:
      return "a run or block header that cannot be";
    case DecodeError::out_of_range:
      return "an index beyond the dictionary, or a level beyond its maximum";
    case DecodeError::unsupported:
      return "this encoding does not go with this type";
  }
  return "?";
}

}  // namespace penstock::parquet
