#!/usr/bin/env bash
# Installs the system programs that some tests drive, where they are missing. Without root it names them, and those
# tests are skipped; with HEADRACE_REQUIRE=all a program that is still missing at the end is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

# command, and the Debian package that has it
programs="git:git rsync:rsync strace:strace systemd-analyze:systemd mkfs.vfat:dosfstools fusefat:fusefat lowntfs-3g:ntfs-3g curl:curl wget:wget openssl:openssl shellcheck:shellcheck aws:awscli zsh:zsh fish:fish mandoc:mandoc man:man-db"

missing() {
    for entry in $programs; do
        command -v "${entry%%:*}" >/dev/null || printf '%s ' "${entry##*:}"
    done
    [ -x .venv/bin/promtool ] || command -v promtool >/dev/null || printf 'prometheus '
}

# promtool alone is wanted: taking it out of the package starts no server
unpack_promtool() {
    local folder
    folder=$(mktemp -d)
    (cd "$folder" && apt-get -o APT::Sandbox::User=root download -qq prometheus)
    dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb | tar --extract --directory .venv/bin --strip-components 3 ./usr/bin/promtool
    rm -r "$folder"
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    for package in "$@"; do
        if [ "$package" = prometheus ]; then
            unpack_promtool
        else
            apt-get install -qq -y --no-install-recommends "$package" >/dev/null
        fi
    done
}

wanted=$(missing)
if [ -n "$wanted" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    # a machine without network still runs the tests that need none of it
    # shellcheck disable=SC2086
    (install_packages $wanted) || printf 'make test: not all of these could be installed: %s\n' "$wanted" >&2
    wanted=$(missing)
fi
if [ -n "$wanted" ]; then
    printf 'make test: tests that need these Debian packages are skipped: %s\n' "$wanted" >&2
    [ "${HEADRACE_REQUIRE:-}" != all ] || exit 1
fi
