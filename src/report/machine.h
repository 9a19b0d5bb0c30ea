// The machine and the versions, for the report's table. Nothing that names a user or a host.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace penstock::report {

// {"CPU", "AMD EPYC ..."}, {"cores this process may use", "2"}, ... What the system does not tell is left
// out.
std::vector<std::pair<std::string, std::string>> describe_machine();

}  // namespace penstock::report
