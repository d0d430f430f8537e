#include "covey/dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#include "kernels.hpp"

namespace covey {
namespace {

struct Implementation {
    const Kernels* kernels;
    bool (*supported)();
};

bool always() {
    return true;
}

#if defined(__x86_64__)
bool has_avx2() {
    return __builtin_cpu_supports("avx2");
}
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
constexpr Implementation implementations[] = {
    {&avx512::kernels, has_avx512}, {&avx2::kernels, has_avx2}, {&baseline::kernels, always}};
#else
constexpr Implementation implementations[] = {{&baseline::kernels, always}};
#endif

[[noreturn]] void raise_unknown(const std::string& name, const char* origin) {
    std::string names;
    for (const auto& available : available_isas()) {
        names += (names.empty() ? "" : ", ") + available;
    }
    throw std::invalid_argument(std::string(origin) + " \"" + name + "\" is not an instruction set that this machine " +
                                "can run; available: " + names);
}

const Kernels* find(const std::string& name) {
    for (const auto& implementation : implementations) {
        if (implementation.supported() && (name.empty() || name == implementation.kernels->name)) {
            return implementation.kernels;
        }
    }
    return nullptr;
}

const Kernels& default_kernels() {
    const char* variable = std::getenv("COVEY_ISA");
    const std::string name = variable == nullptr ? "" : variable;
    const Kernels* kernels = find(name);
    if (kernels == nullptr) {
        raise_unknown(name, "COVEY_ISA");
    }
    return *kernels;
}

}  // namespace

const Kernels& select_kernels(const std::string& name) {
    if (name.empty()) {
        // Read once: the environment of a running process is not a control surface. A bad name throws every time.
        static const Kernels& chosen = default_kernels();
        return chosen;
    }
    const Kernels* kernels = find(name);
    if (kernels == nullptr) {
        raise_unknown(name, "isa");
    }
    return *kernels;
}

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const auto& implementation : implementations) {
        if (implementation.supported()) {
            names.emplace_back(implementation.kernels->name);
        }
    }
    return names;
}

}  // namespace covey
