// AnnData and 10x matrices in HDF5, as a format of files (source/format.h): where anndata/ and hdf5/ meet.
#pragma once

#include "source/format.h"

namespace penstock::anndata {

const Format& h5ad_format();

}  // namespace penstock::anndata
