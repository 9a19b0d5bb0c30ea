// A table has lain in an .h5ad file in three ways (formats.md, 2.1 and 2.2). A categorical column `drug` of
// obs:
//
//     0.8 and later   /obs/drug/codes and /obs/drug/categories; attribute `ordered` of /obs/drug
//     0.7             /obs/drug; attribute `categories` refers to /obs/__categories/drug, which has `ordered`
//     before          /obs, one array of records {index, drug, ...}, and the list in /uns/drug_categories
//
// In each, a code is the number of a category and -1 a missing value: codes 1 -1 0 with categories "A", "B"
// are B, missing, A. Everything else is an array of plain values (numbers, booleans, texts), or since 0.8 a
// group of `values` and `mask`.
//
// Which way it is, is told by what is there and not by a version. Opening a table opens its index alone,
// since a table may have thousands of columns; what is wrong with a column is said when it is asked for.
// Types and lengths are checked here; what codes and values are is left to who reads them (column_reader.cc,
// stream_column.cc).
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
  // One element may come without a dimension: old lists of one category.
  if (array.shape().size() <= 1) return {};
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

// Some writers leave encoding-type out. Two children of these names say the same (formats.md, 2.2).
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
  // Where the column is, not where its codes are: that is what the user knows of.
  column.where = std::move(where);
  column.dtype = "category";
  PENSTOCK_ASSIGN_OR_RETURN(column.ordered, flag_attribute(holder, "ordered"));
  column.values = std::move(codes);
  column.categories = std::make_shared<const FrameColumn>(std::move(list));
  return column;
}

// `values` and `mask` side by side. What lies in `values` where the mask is 1 is whatever the writer had
// there, so nobody may look at it without the mask. Who reads a mask counts on one byte an element: an HDF5
// boolean (an enum of one byte) or a plain integer of that size.
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
  // The encoding-type promises a type of values. Another one is damage, and not a column to be read as what
  // it has become.
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
    // May itself be a group: a list of texts of which some could be missing is stored as a nullable array.
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
// reference, 8 bytes that are the address of the list in the file, so the list need not lie in __categories.
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

Result<Frame> Frame::open(std::shared_ptr<const store::Node> node, std::shared_ptr<const store::Group> uns) {
  Frame frame;
  frame.node_ = node;
  frame.uns_ = std::move(uns);
  if (const store::Group* group = node->as_group()) {
    PENSTOCK_RETURN_IF_ERROR(frame.open_group(*group));
  } else {
    PENSTOCK_RETURN_IF_ERROR(frame.open_records(as_array(node)));
  }
  // Changed where they are, so that lists and messages can show them; no_text_ remembers which ones, because
  // the new name leads to no child.
  for (std::string& name : frame.columns_) {
    if (is_utf8(name)) continue;
    name = shown_text(name);
    frame.no_text_.insert(name);
  }
  frame.order_ = NameOrder(frame.columns_);
  return frame;
}

Status Frame::open_group(const store::Group& group) {
  // The attribute holds the name of the child that is the index: "_index", "index", "CellID", "gene_ids", ...
  // That child is usually not among the columns (formats.md, 2.1).
  PENSTOCK_ASSIGN_OR_RETURN(const auto index_name, string_attribute(group, "_index"));
  if (!index_name) return Status::corrupt(group.where() + ": no attribute '_index', so not a dataframe");
  index_name_ = *index_name;
  PENSTOCK_RETURN_IF_ERROR(store::readable(group));
  if (!group.has(index_name_)) {
    // Links that cannot be read at all are not an absent index: their error says why.
    const auto index = group.child(index_name_);
    if (!index.ok() && index.status().code() != StatusCode::not_found) return index.status();
    return Status::corrupt(fmt::format("{}: the index '{}' is absent", group.where(), index_name_));
  }
  PENSTOCK_ASSIGN_OR_RETURN(auto index, group.child(index_name_));
  PENSTOCK_ASSIGN_OR_RETURN(index_, open_column(std::move(index)));

  PENSTOCK_ASSIGN_OR_RETURN(auto order, group.attribute("column-order"));
  if (!order) return Status::corrupt(group.where() + ": no attribute 'column-order', so not a dataframe");
  // No columns are stored as no numbers (float64[0]).
  if (order->strings.empty() && !(order->floats.empty() && order->ints.empty())) {
    return Status::corrupt(fmt::format("{}: attribute 'column-order' is {}, expected strings", group.where(),
                                       order->type.description));
  }
  // In this order, not in that of the links. A child that is not listed is no column.
  columns_ = std::move(order->strings);
  return {};
}

// As anndata before 0.7 wrote tables: records, of which the first field is the index.
Status Frame::open_records(std::shared_ptr<const store::Array> records) {
  const auto& members = records->dtype().members;
  if (records->dtype().cls != store::TypeClass::compound || members == nullptr || members->empty()) {
    return Status::unsupported(fmt::format("{}: an array of {} where a table is expected", records->where(),
                                           records->dtype().description));
  }
  records_ = std::move(records);
  index_name_ = members->front().name;
  PENSTOCK_ASSIGN_OR_RETURN(auto index, store::Array::open_field(records_, members->front()));
  PENSTOCK_ASSIGN_OR_RETURN(index_, open_plain(std::move(index)));
  for (std::size_t i = 1; i < members->size(); ++i) columns_.push_back((*members)[i].name);
  return {};
}

bool Frame::has(const std::string& name) const { return order_.has(columns_, name); }

Result<FrameColumn> Frame::column(const std::string& name) const {
  // The index can be asked for by its name, unless a column is called the same.
  if (name == index_name_ && !has(name)) return index_;
  if (!has(name)) {
    return Status::not_found(
        fmt::format("{}: no column '{}'; {}", where(), name, suggest_names(name, columns_)));
  }
  PENSTOCK_ASSIGN_OR_RETURN(auto column, records_ != nullptr ? field(name) : child(name));
  // How many rows there are is what the index says.
  if (column.size() != n_rows()) {
    return Status::corrupt(
        fmt::format("{}: {} elements, but the table has {} rows", column.where, column.size(), n_rows()));
  }
  return column;
}

Result<FrameColumn> Frame::child(const std::string& name) const {
  const store::Group& group = *node_->as_group();
  auto child = group.child(name);
  // has() would say no where the links cannot be read now: a refusal is none of the file's faults.
  if (!child.ok() && child.status().code() == StatusCode::not_found) {
    PENSTOCK_RETURN_IF_ERROR(store::readable(group));
    if (no_text_.count(name) > 0) return no_text(name);
    return Status::corrupt(fmt::format("{}: column '{}' is listed but absent", where(), name));
  }
  PENSTOCK_ASSIGN_OR_RETURN(auto node, std::move(child));
  return open_column(std::move(node));
}

// A field of the records; a categorical where `uns` lists what its integers stand for.
Result<FrameColumn> Frame::field(const std::string& name) const {
  if (no_text_.count(name) > 0) return no_text(name);
  const auto& members = *records_->dtype().members;
  // There is one: has() has found the name in the list that was made of the members.
  const auto member =
      std::find_if(members.begin(), members.end(), [&](const auto& each) { return each.name == name; });
  if (member->type.cls == store::TypeClass::other) {
    return Status::unsupported(
        fmt::format("{}: column '{}' is {}, which is not read", where(), name, member->type.description));
  }
  PENSTOCK_ASSIGN_OR_RETURN(auto values, store::Array::open_field(records_, *member));
  const std::string list = name + "_categories";
  const bool integers = member->type.cls == store::TypeClass::number && !is_floating(member->type.number);
  if (!integers || uns_ == nullptr) return open_plain(std::move(values));
  PENSTOCK_RETURN_IF_ERROR(store::readable(*uns_));
  if (!uns_->has(list)) return open_plain(std::move(values));
  PENSTOCK_ASSIGN_OR_RETURN(auto categories, uns_->child(list));
  const store::Node& holder = *categories;
  std::string place = values->where();
  return open_categorical(std::move(values), categories, holder, std::move(place));
}

Status Frame::no_text(const std::string& name) const {
  return Status::unsupported(
      fmt::format("{}: the name of column '{}' is not UTF-8: rename it to read it", where(), name));
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
