# Sourced by deploy/try and deploy/check: installs what is missing, and only that.

# require_packages COMMAND:PACKAGE …: installs the Debian package of each command that the machine does not have.
require_packages() {
  local pair missing=() as_root=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 ||
      missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    printf 'Il manque : %s. Installez-les puis relancez.\n' "${missing[*]}" >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { printf 'Il manque : %s (à installer en root).\n' "${missing[*]}" >&2; return 1; }
    as_root=(sudo)
  fi
  printf 'Installation de : %s\n' "${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
