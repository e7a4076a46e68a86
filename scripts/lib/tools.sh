# shellcheck shell=bash
# The tools, pinned, in folders of this tree. Each is installed once: a stamp holds
# the hash of what was asked for.

TERRAFORM_VERSION=1.11.4

need_cargo() {
  command -v cargo >/dev/null || fail 3 "cargo is missing: install Rust from https://rustup.rs, open a new shell and run this again"
}

need_python() {
  command -v python3 >/dev/null || fail 3 "python3 is missing: install Python 3.10 or later"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail 3 "python3 is too old: install Python 3.10 or later"
  python3 -c 'import ensurepip, venv' 2>/dev/null || fail 3 "python3 has no venv module: install it (Debian and Ubuntu: apt install python3-venv)"
}

need_node() {
  command -v npm >/dev/null || fail 3 "npm is missing: install Node.js 20.16 or later"
}

stamped() { [[ -f $1 && $(<"$1") == "$2" ]]; }

# ensure_venv FOLDER REQUIREMENTS: a virtual environment with exactly these packages.
ensure_venv() {
  local stamp
  stamp=$(printf '%s %s\n' "$(sha256 <"$2")" "$ROOT")
  if stamped "$1/.stamp" "$stamp" && [[ -x $1/bin/python ]]; then return; fi
  need_python
  step "Installing ${2#"$ROOT"/} into ${1#"$ROOT"/}" install_venv "$1" "$2"
  printf '%s\n' "$stamp" >"$1/.stamp"
}

install_venv() {
  rm -rf "$1"
  python3 -m venv "$1"
  "$1/bin/python" -m pip install --disable-pip-version-check --no-input --requirement "$2"
}

ensure_local_tools() { ensure_venv "$ROOT/.venv" "$ROOT/scripts/requirements/local.txt"; }
ensure_check_tools() { ensure_venv "$ROOT/.venv-check" "$ROOT/scripts/requirements/check.txt"; }

ensure_node_tools() {
  local stamp
  stamp=$(sha256 <"$ROOT/package-lock.json")
  if stamped "$ROOT/node_modules/.stamp" "$stamp"; then return; fi
  need_node
  step "Installing package-lock.json into node_modules" npm ci --ignore-scripts --no-audit --no-fund
  printf '%s\n' "$stamp" >"$ROOT/node_modules/.stamp"
}

# Sets ANVIL: the one that npm installed for this platform, else the one on the path.
# Not npm's wrapper of it: a signal would end that one alone.
ensure_anvil() {
  ensure_node_tools
  ANVIL=$(compgen -G "$ROOT/node_modules/@foundry-rs/anvil-*/bin/anvil" | head -n 1 || true)
  if [[ -z $ANVIL ]]; then ANVIL=$(command -v anvil || true); fi
  [[ -n $ANVIL ]] || fail 3 "npm has no anvil for $(uname -sm): install Foundry from https://getfoundry.sh and run this again"
}

# The load generator, which only scripts/bench rides needs: some 600 MB.
ensure_artillery() {
  local stamp
  stamp=$(sha256 <"$ROOT/scripts/requirements/artillery/package-lock.json")
  if stamped "$LOCAL/artillery/.stamp" "$stamp"; then return; fi
  need_node
  step "Installing scripts/requirements/artillery into .local/artillery" install_artillery
  printf '%s\n' "$stamp" >"$LOCAL/artillery/.stamp"
}

install_artillery() {
  rm -rf "$LOCAL/artillery"
  mkdir -p "$LOCAL/artillery"
  cp "$ROOT"/scripts/requirements/artillery/*.json "$LOCAL/artillery"
  npm ci --prefix "$LOCAL/artillery" --ignore-scripts --no-audit --no-fund
}

# Sets CHROMIUM: OFFCHAIN_CHROMIUM where it is set, else the pinned one, which there is for
# Linux on x86-64 alone, else the Chrome or Chromium of this machine. What drives it
# comes with the pinned one, into .local/chromium.
ensure_chromium() {
  local stamp
  stamp=$(sha256 <"$ROOT/scripts/requirements/chromium/package-lock.json")
  if ! stamped "$LOCAL/chromium/.stamp" "$stamp"; then
    need_node
    step "Installing scripts/requirements/chromium into .local/chromium" install_chromium
    printf '%s\n' "$stamp" >"$LOCAL/chromium/.stamp"
  fi
  CHROMIUM=${OFFCHAIN_CHROMIUM:-$LOCAL/chromium/chromium}
  if [[ ! -x $CHROMIUM ]]; then
    CHROMIUM=$({ command -v chromium google-chrome chromium-browser ||
      compgen -G '/Applications/*/Contents/MacOS/*Chrom*' || true; } | head -n 1)
  fi
  [[ -n $CHROMIUM ]] || fail 3 "Chromium is missing: install it, or name it in OFFCHAIN_CHROMIUM, and run this again"
  export CHROMIUM
}

install_chromium() {
  rm -rf "$LOCAL/chromium"
  mkdir -p "$LOCAL/chromium"
  cp "$ROOT"/scripts/requirements/chromium/*.json "$LOCAL/chromium"
  npm ci --prefix "$LOCAL/chromium" --ignore-scripts --no-audit --no-fund
  if [[ $(uname -sm) == "Linux x86_64" ]]; then
    node "$ROOT/scripts/lib/unpack_chromium.js" "$LOCAL/chromium"
  fi
  # Packed, it is of no more use.
  rm -rf "$LOCAL/chromium/node_modules/@sparticuz"
}

# What reads signed transactions, and had no part in signing them.
ensure_decoder() {
  local stamp
  stamp=$(sha256 <"$ROOT/scripts/requirements/decoder/package-lock.json")
  if stamped "$LOCAL/decoder/.stamp" "$stamp"; then return; fi
  need_node
  step "Installing scripts/requirements/decoder into .local/decoder" install_decoder
  printf '%s\n' "$stamp" >"$LOCAL/decoder/.stamp"
}

install_decoder() {
  rm -rf "$LOCAL/decoder"
  mkdir -p "$LOCAL/decoder"
  cp "$ROOT"/scripts/requirements/decoder/*.json "$LOCAL/decoder"
  npm ci --prefix "$LOCAL/decoder" --ignore-scripts --no-audit --no-fund
}

# Sets TERRAFORM: the one on the path where it is recent enough, else the pinned
# release, fetched once.
ensure_terraform() {
  TERRAFORM=$LOCAL/bin/terraform
  if [[ ! -x $TERRAFORM ]]; then
    if command -v terraform >/dev/null && terraform_is_recent; then
      TERRAFORM=$(command -v terraform)
    else
      need_python
      try step "Fetching Terraform $TERRAFORM_VERSION" fetch_terraform
      ((STATUS == 0)) ||
        fail 3 "Terraform could not be fetched: install Terraform 1.11 or later and run this again"
    fi
  fi
  configure_terraform
}

terraform_is_recent() {
  local version
  version=$(TF_CLI_CONFIG_FILE=/dev/null terraform version 2>/dev/null | sed -n '1 s/^Terraform v//p')
  [[ $version =~ ^1\.([0-9]+)\. ]] && ((BASH_REMATCH[1] >= 11))
}

fetch_terraform() {
  local platform sum
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux_amd64 sum=1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc ;;
    Linux-aarch64) platform=linux_arm64 sum=a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633 ;;
    Darwin-x86_64) platform=darwin_amd64 sum=a56d5002b9f7647291faccc3dd1a70350e60fb61e4c45037629508b8fdc2575b ;;
    Darwin-arm64) platform=darwin_arm64 sum=867e0808fa971217043e25b7a792b10720c79b1546f8a68479b74f138be73e18 ;;
    *) echo "no pinned Terraform for $(uname -sm)" && return 1 ;;
  esac
  python3 "$ROOT/scripts/lib/fetch_terraform.py" \
    "https://releases.hashicorp.com/terraform/$TERRAFORM_VERSION/terraform_${TERRAFORM_VERSION}_$platform.zip" \
    "$sum" "$LOCAL/bin/terraform"
}

# A command-line configuration of our own, so that the user's is neither needed nor
# changed. Where this machine has the provider unpacked, it is taken from there.
configure_terraform() {
  local rc=$LOCAL/terraform.rc mirror
  export TF_CLI_CONFIG_FILE=$rc TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1
  # Only of weight where the provider comes from its registry.
  export TF_PLUGIN_CACHE_DIR=$LOCAL/terraform-plugins TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=1
  mkdir -p "$TF_PLUGIN_CACHE_DIR"
  if [[ -f $rc ]]; then
    mirror=$(sed -n 's/^ *path *= *"\(.*\)"/\1/p' "$rc")
    if [[ -z $mirror || -d $mirror ]]; then return; fi
  fi
  mirror=$(find_provider_mirror)
  write_terraform_rc "$mirror"
}

write_terraform_rc() {
  {
    echo "# Written by scripts/lib/tools.sh; remove it to have the provider looked for again."
    echo "provider_installation {"
    if [[ -n ${1:-} ]]; then
      printf '  filesystem_mirror {\n    path    = "%s"\n    include = ["registry.terraform.io/hashicorp/aws"]\n  }\n' "$1"
      printf '  direct {\n    exclude = ["registry.terraform.io/hashicorp/aws"]\n  }\n'
    else
      printf '  direct {}\n'
    fi
    echo "}"
  } >"$LOCAL/terraform.rc"
}

# Prints the folder of a mirror that holds the provider's pinned version, if there is one.
find_provider_mirror() {
  local version place found
  version=$(sed -n '/hashicorp\/aws/,/}/ s/.*version *= *"=\{0,1\} *\([0-9.]*\)".*/\1/p' terraform/versions.tf | head -n 1)
  for place in /opt /usr/share/terraform /usr/local/share/terraform "$HOME/.terraform.d" /; do
    [[ -d $place ]] || continue
    while IFS= read -r found; do
      # The caches of other projects look alike, and vanish without notice.
      case $found in */.terraform/* | */.local/*) continue ;; esac
      if compgen -G "$found/${version:-[0-9]*}" >/dev/null || compgen -G "$found/*_${version:-[0-9]*}_*.zip" >/dev/null; then
        printf '%s\n' "${found%/registry.terraform.io/hashicorp/aws}"
        return
      fi
    done < <(find "$place" -xdev -maxdepth 8 \( -name proc -o -name sys -o -name target \) -prune -o \
      -type d -path '*/registry.terraform.io/hashicorp/aws' -print 2>/dev/null)
  done
}

terraform_in() { "$TERRAFORM" -chdir="${TERRAFORM_ROOT:-$ROOT/terraform}" "$@"; }

# terraform init for TF_DATA_DIR; a mirror that does not serve is given up for the registry.
terraform_init() {
  terraform_in init -no-color "$@" && return
  grep -q filesystem_mirror "$TF_CLI_CONFIG_FILE" || return 1
  echo "The mirror does not serve; trying the registry."
  write_terraform_rc ""
  terraform_in init -no-color "$@"
}
