# Sourced by the other scripts: the Debian packages puna needs, and how missing ones are installed.

BUILD_PACKAGES="g++ cmake ninja-build pkg-config ccache git ca-certificates libboost1.81-dev nlohmann-json3-dev
  libcurl4-openssl-dev libssl-dev libcli11-dev libspdlog-dev libfmt-dev libexpected-dev libpcre2-dev
  libutf8proc-dev libstb-dev libwebp-dev libzstd-dev libvulkan-dev glslc"
TEST_PACKAGES="libgtest-dev libgmock-dev libbenchmark-dev python3 python3-yaml python3-jsonschema openssl clang-format universal-ctags curl docker-registry
  mesa-vulkan-drivers vulkan-validationlayers"
# For --all: the kernels of 64-bit ARM, under an emulator.
ARM_PACKAGES="g++-aarch64-linux-gnu qemu-user googletest"
# For --all: packages and images, and the shells whose completion is tried.
PACKAGING_PACKAGES="buildah mmdebstrap dpkg-dev zsh fish openssh-client groff-base"

# install_packages NAME...: installs what is missing; as root, or with sudo.
install_packages() {
  local missing=()
  local package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "these packages are missing and there is no apt-get to install them: ${missing[*]}" >&2
    return 1
  fi
  echo "installing: ${missing[*]}" >&2
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "run this as root, or install: ${missing[*]}" >&2; return 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}
