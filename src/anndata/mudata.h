// MuData files (.h5mu): what was measured of the same cells in several ways. Each group of /mod is an
// AnnData object of its own, a modality. Names of its matrices say where they are: "mod/rna/X",
// "mod/prot/layers/raw". The root has an obs and a var of all modalities together, and no matrix.
//
// Source: https://mudata.readthedocs.io/stable/io/spec.html
//
// Thread contract: pure functions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "penstock/status.h"
#include "store/store.h"

namespace penstock::anndata {

bool is_mudata(const store::Group& root);

// Names of the groups of /mod, in the order that the file keeps (mod-order) or lists them in.
Result<std::vector<std::string>> list_modalities(const store::Group& root);

// One of them. `corrupt` when it is an array.
Result<std::shared_ptr<const store::Group>> open_modality(const store::Group& root, const std::string& name);

// The AnnData object that a matrix of this name belongs to: a modality, or else the root itself.
Result<std::shared_ptr<const store::Group>> object_of(std::shared_ptr<const store::Group> root,
                                                      const std::string& matrix);

// What the names of an object's matrices begin with: "mod/rna/" in a modality, nothing in the root.
std::string matrix_prefix(const store::Group& object);

// A name without that: "X" of "mod/rna/X".
std::string name_inside(const store::Group& object, const std::string& matrix);

}  // namespace penstock::anndata
