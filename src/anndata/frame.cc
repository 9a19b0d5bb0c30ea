#include "anndata/frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "anndata/attributes.h"
#include "base/names.h"
#include "store/readable.h"

namespace penstock::anndata {

namespace {

using Encoding = FrameColumn::Encoding;

Status check_vector(const store::Array& array) {
  if (array.shape().size() == 1) return {};
  return Status::unsupported(fmt::format("{}: {} dimensions; columns of one dimension are read",
                                         array.where(), array.shape().size()));
}

// What an array of this type is by itself.
Result<Encoding> plain_encoding(const store::Array& array) {
  switch (array.dtype().cls) {
    case store::TypeClass::number:
      return Encoding::number;
    case store::TypeClass::boolean:
      return Encoding::boolean;
    case store::TypeClass::fixed_string:
    case store::TypeClass::vlen_string:
      return Encoding::string;
    case store::TypeClass::reference:
    case store::TypeClass::compound:
    case store::TypeClass::other:
      break;
  }
  return Status::unsupported(
      fmt::format("{}: elements of type {} are not read", array.where(), array.dtype().description));
}

std::string plain_dtype(Encoding encoding, const store::Array& array) {
  if (encoding == Encoding::string) return "string";
  if (encoding == Encoding::boolean) return "bool";
  return numeric_name(array.dtype().number);
}

Result<FrameColumn> open_plain(std::shared_ptr<const store::Array> array) {
  PENSTOCK_RETURN_IF_ERROR(check_vector(*array));
  FrameColumn column;
  PENSTOCK_ASSIGN_OR_RETURN(column.encoding, plain_encoding(*array));
  column.dtype = plain_dtype(column.encoding, *array);
  column.where = array->where();
  column.values = std::move(array);
  return column;
}

bool is_categorical(const store::Group& group, const std::string& encoding) {
  return encoding == "categorical" || (encoding.empty() && group.has("codes") && group.has("categories"));
}

// A list of categories. Told from a categorical before it is opened: links may lead back to the column
// itself.
Result<FrameColumn> open_list(std::shared_ptr<const store::Node> node, const std::string& where) {
  bool nested = false;
  if (const store::Group* group = node->as_group()) {
    PENSTOCK_ASSIGN_OR_RETURN(const std::string encoding, encoding_type(*group));
    nested = is_categorical(*group, encoding);
  } else {
    PENSTOCK_ASSIGN_OR_RETURN(const auto categories, node->attribute("categories"));
    nested = categories.has_value();
  }
  if (nested) return Status::corrupt(where + ": the categories are themselves a categorical");
  return open_column(std::move(node));
}

// Integer codes and the node that lists what they stand for. `holder` carries the `ordered` flag.
Result<FrameColumn> open_categorical(std::shared_ptr<const store::Array> codes,
                                     std::shared_ptr<const store::Node> categories, const store::Node& holder,
                                     std::string where) {
  PENSTOCK_RETURN_IF_ERROR(check_vector(*codes));
  if (codes->dtype().cls != store::TypeClass::number || is_floating(codes->dtype().number)) {
    return Status::corrupt(fmt::format("{}: category codes of type {}, expected integers", codes->where(),
                                       codes->dtype().description));
  }
  PENSTOCK_ASSIGN_OR_RETURN(FrameColumn list, open_list(std::move(categories), where));
  FrameColumn column;
  column.encoding = Encoding::categorical;
  column.where = std::move(where);
  column.dtype = "category";
  PENSTOCK_ASSIGN_OR_RETURN(column.ordered, flag_attribute(holder, "ordered"));
  column.values = std::move(codes);
  column.categories = std::make_shared<const FrameColumn>(std::move(list));
  return column;
}

Result<FrameColumn> open_nullable(const store::Group& group, const std::string& type) {
  FrameColumn column;
  column.where = group.where();
  column.dtype = type;
  PENSTOCK_ASSIGN_OR_RETURN(column.values, array_child(group, "values"));
  PENSTOCK_ASSIGN_OR_RETURN(column.mask, array_child(group, "mask"));
  PENSTOCK_RETURN_IF_ERROR(check_vector(*column.values));
  PENSTOCK_RETURN_IF_ERROR(check_vector(*column.mask));
  const store::DataType& mask = column.mask->dtype();
  const bool mask_ok = mask.cls == store::TypeClass::boolean ||
                       (mask.cls == store::TypeClass::number && !is_floating(mask.number) && mask.size == 1);
  if (!mask_ok || column.mask->size() != column.values->size()) {
    return Status::corrupt(fmt::format("{}: a mask of {} x {} beside {} values", group.where(),
                                       column.mask->size(), mask.description, column.values->size()));
  }
  PENSTOCK_ASSIGN_OR_RETURN(const Encoding plain, plain_encoding(*column.values));
  const Encoding expected = type == "nullable-boolean"        ? Encoding::boolean
                            : type == "nullable-string-array" ? Encoding::string
                                                              : Encoding::number;
  if (plain != expected) {
    return Status::corrupt(
        fmt::format("{}: a {} of {}", group.where(), type, column.values->dtype().description));
  }
  column.encoding = plain == Encoding::boolean  ? Encoding::nullable_boolean
                    : plain == Encoding::string ? Encoding::nullable_string
                                                : Encoding::nullable_number;
  return column;
}

Result<FrameColumn> open_group(const store::Group& group) {
  PENSTOCK_ASSIGN_OR_RETURN(const std::string type, encoding_type(group));
  PENSTOCK_RETURN_IF_ERROR(store::readable(group));
  if (is_categorical(group, type)) {
    PENSTOCK_ASSIGN_OR_RETURN(auto codes, array_child(group, "codes"));
    if (!group.has("categories")) return Status::corrupt(group.where() + ": no 'categories' in it");
    PENSTOCK_ASSIGN_OR_RETURN(auto categories, group.child("categories"));
    return open_categorical(std::move(codes), std::move(categories), group, group.where());
  }
  if (type == "nullable-integer" || type == "nullable-boolean" || type == "nullable-string-array") {
    return open_nullable(group, type);
  }
  return Status::unsupported(fmt::format("{}: encoding {} is not read as a column", group.where(),
                                         type.empty() ? std::string("(none)") : "'" + type + "'"));
}

// The 0.7 layout: attribute `categories` refers to the list, which carries `ordered`. In HDF5 it is an object
// reference.
Result<FrameColumn> open_legacy_categorical(std::shared_ptr<const store::Array> codes,
                                            const store::Attribute& reference) {
  if (reference.references.empty()) {
    return Status::unsupported(codes->where() + ": attribute 'categories' is " + reference.type.description +
                               ", expected an object reference");
  }
  PENSTOCK_ASSIGN_OR_RETURN(auto categories, codes->follow(reference));
  const store::Node& holder = *categories;
  std::string where = codes->where();
  return open_categorical(std::move(codes), categories, holder, std::move(where));
}

}  // namespace

Result<FrameColumn> open_column(std::shared_ptr<const store::Node> node) {
  if (const store::Group* group = node->as_group()) return open_group(*group);
  auto array = as_array(node);
  PENSTOCK_ASSIGN_OR_RETURN(const auto categories, array->attribute("categories"));
  if (categories) return open_legacy_categorical(std::move(array), *categories);
  return open_plain(std::move(array));
}

Result<Frame> Frame::open(std::shared_ptr<const store::Node> node) {
  Frame frame;
  frame.node_ = node;
  const store::Group* group = node->as_group();
  if (group == nullptr) {
    const bool compound = node->as_array()->dtype().cls == store::TypeClass::compound;
    return Status::unsupported(
        fmt::format("{}: {}, as anndata before 0.7 wrote it, is not read yet; rewrite the file with "
                    "anndata.read_h5ad(path).write_h5ad(new_path)",
                    node->where(), compound ? "a compound table" : "an array where a table is expected"));
  }
  PENSTOCK_ASSIGN_OR_RETURN(const auto index_name, string_attribute(*group, "_index"));
  if (!index_name) return Status::corrupt(group->where() + ": no attribute '_index', so not a dataframe");
  frame.index_name_ = *index_name;
  PENSTOCK_RETURN_IF_ERROR(store::readable(*group));
  if (!group->has(frame.index_name_)) {
    // Links that cannot be read at all are not an absent index: their error says why.
    const auto index = group->child(frame.index_name_);
    if (!index.ok() && index.status().code() != StatusCode::not_found) return index.status();
    return Status::corrupt(fmt::format("{}: the index '{}' is absent", group->where(), frame.index_name_));
  }
  PENSTOCK_ASSIGN_OR_RETURN(auto index, group->child(frame.index_name_));
  PENSTOCK_ASSIGN_OR_RETURN(frame.index_, open_column(std::move(index)));

  PENSTOCK_ASSIGN_OR_RETURN(auto order, group->attribute("column-order"));
  if (!order) return Status::corrupt(group->where() + ": no attribute 'column-order', so not a dataframe");
  // No columns are stored as no numbers (float64[0]).
  if (order->strings.empty() && !(order->floats.empty() && order->ints.empty())) {
    return Status::corrupt(fmt::format("{}: attribute 'column-order' is {}, expected strings", group->where(),
                                       order->type.description));
  }
  frame.columns_ = std::move(order->strings);
  return frame;
}

bool Frame::has(const std::string& name) const {
  return std::find(columns_.begin(), columns_.end(), name) != columns_.end();
}

Result<FrameColumn> Frame::column(const std::string& name) const {
  if (name == index_name_ && !has(name)) return index_;
  if (!has(name)) {
    return Status::not_found(
        fmt::format("{}: no column '{}'; {}", where(), name, suggest_names(name, columns_)));
  }
  const store::Group& group = *node_->as_group();
  PENSTOCK_RETURN_IF_ERROR(store::readable(group));
  if (!group.has(name))
    return Status::corrupt(fmt::format("{}: column '{}' is listed but absent", where(), name));
  PENSTOCK_ASSIGN_OR_RETURN(auto node, group.child(name));
  PENSTOCK_ASSIGN_OR_RETURN(auto column, open_column(std::move(node)));
  if (column.size() != n_rows()) {
    return Status::corrupt(
        fmt::format("{}: {} elements, but the table has {} rows", column.where, column.size(), n_rows()));
  }
  return column;
}

ColumnInfo Frame::info(const std::string& name) const {
  ColumnInfo info;
  info.name = name;
  auto opened = column(name);
  if (opened.ok()) {
    info.dtype = opened->dtype;
    return info;
  }
  info.usable = false;
  info.why = opened.status().message();
  return info;
}

}  // namespace penstock::anndata
