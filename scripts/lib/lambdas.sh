# shellcheck shell=bash disable=SC2153  # variables go from file to file
# Builds the Lambdas and their zips. Needs common.sh and tools.sh.

# One folder a function: its name is the crate's, the binary's and the zip's.
lambda_names() { (cd "$ROOT/lambdas" && for crate in */Cargo.toml; do printf '%s\n' "${crate%/Cargo.toml}"; done); }

# The last crate that cargo began, as a running step shows it.
cargo_progress() { sed -n 's/^ *\(Compiling [^ ]*\).*/(\1)/p' "$1" 2>/dev/null | tail -n 1; }

# Always the whole workspace and with one test target, a small one: cargo then settles
# the dependencies' features as it does for the tests, and builds each of them once
# for both. The features that only tests need are not in a release.
BUILD=(build --locked --workspace --test bundle)

build_workspace() { cargo "${BUILD[@]}" --bins --lib; }

zip_lambdas() { # BINARY OUT LEVEL
  # shellcheck disable=SC2046  # names of folders without blanks
  python3 "$ROOT/scripts/lib/package.py" --binary "$1" --out "$2" --level "$3" $(lambda_names)
}

build_lambdas() {
  need_cargo
  need_python
  STEP_DETAIL=cargo_progress step "Building the workspace" build_workspace
  # Quick rather than small: these zips go no further than this machine.
  step "Zipping the Lambdas" zip_lambdas "$TARGET/debug/{}" target/lambda 1
}

# For Amazon Linux 2023: an old enough glibc, by way of zig.
build_release() { # ARCHITECTURE
  local target
  case $1 in
    x86_64) target=x86_64-unknown-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu ;;
  esac
  need_cargo
  ensure_local_tools
  STEP_DETAIL=cargo_progress step "Building the Lambdas for AWS ($1)" cargo_lambda "$target" "target/lambda-release/$1"
  step "Zipping the Lambdas for $1" zip_lambdas "target/lambda-release/$1/{}/bootstrap" "target/lambda-release/$1" 9
}

cargo_lambda() { # TARGET OUT
  local packages=() name
  while read -r name; do packages+=(--package "$name"); done < <(lambda_names)
  # cargo-lambda finds zig as a module of the python3 on the path.
  PATH=$ROOT/.venv/bin:$PATH cargo-lambda lambda build --release --locked \
    --target "$1" --lambda-dir "$2" "${packages[@]}"
}

# architecture [ARCH]: x86_64 or arm64, as Lambda calls them; this machine's unless given.
architecture() {
  case ${1:-$(uname -m)} in
    x86_64 | amd64) echo x86_64 ;;
    arm64 | aarch64) echo arm64 ;;
    *) wrong_usage "the architecture is ${1:-$(uname -m)}: x86_64 or arm64 is expected" ;;
  esac
}
