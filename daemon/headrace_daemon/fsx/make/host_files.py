"""The files that cloud-init lays down on a host which mounts FSx for Lustre: two scripts, their units, a drop-in."""

from typing import Final

SETUP: Final = r"""#!/bin/sh
# Lustre client, mount, Headrace. Each step looks first whether it is done, so that it can be run again at any time.
set -eu
export HOME=/root DEBIAN_FRONTEND=noninteractive

# exit code 2: a person has to look; anything else is tried again by the unit
give_up() {
    printf 'headrace-setup: %s\n' "$*" >&2
    exit 2
}

apt() {
    apt-get -o DPkg::Lock::Timeout=600 -q -y "$@"
}

# https://docs.aws.amazon.com/fsx/latest/LustreGuide/install-lustre-client.html
ubuntu_client() {
    codename=$1
    keys=https://fsx-lustre-client-repo-public-keys.s3.amazonaws.com/fsx-ubuntu-public-key.asc
    ring=/usr/share/keyrings/fsx-ubuntu-public-key.asc
    list=/etc/apt/sources.list.d/fsxlustreclientrepo.list
    apt update
    apt install ca-certificates curl
    curl --fail --silent --show-error --location --output "$ring.new" "$keys"
    mv "$ring.new" "$ring"
    echo "deb [signed-by=$ring] https://fsx-lustre-client-repo.s3.amazonaws.com/ubuntu $codename main" >"$list"
    apt update
    if apt install "lustre-client-modules-$(uname -r)" lustre-client-modules-aws; then
        return
    fi
    # there is no client for the running kernel yet: take the newest kernel that has one, and start it, once
    [ ! -e /var/lib/headrace-setup.rebooted ] || give_up "no Lustre client for the kernel $(uname -r)"
    apt install linux-aws lustre-client-modules-aws
    : >/var/lib/headrace-setup.rebooted
    systemctl reboot
    exit 1
}

# shellcheck source=/dev/null
. /etc/os-release
python=python3
case "$ID:${VERSION_ID:-}" in
    amzn:2023*)
        dnf install -y lustre-client git make python3.11
        python=python3.11
        ;;
    ubuntu:22.04)
        modinfo lustre >/dev/null 2>&1 || ubuntu_client jammy
        # its own Python is 3.10
        apt install git make python3.11 python3.11-venv
        python=python3.11
        ;;
    ubuntu:24.04)
        modinfo lustre >/dev/null 2>&1 || ubuntu_client noble
        apt install git make python3-venv
        ;;
    *)
        give_up "AWS has no Lustre client for ${PRETTY_NAME:-$ID}; use Amazon Linux 2023, Ubuntu 22.04 or 24.04"
        ;;
esac

# https://docs.aws.amazon.com/fsx/latest/LustreGuide/mount-fs-auto-mount-onreboot.html
options=defaults,relatime,flock,_netdev,x-systemd.automount,x-systemd.requires=network.target
line="$source $mount lustre $options 0 0"
if ! grep -qxF "$line" /etc/fstab; then
    awk -v mount="$mount" '$1 !~ /^#/ && $2 == mount {found = 1} END {exit found}' /etc/fstab ||
        give_up "/etc/fstab has another file system at $mount"
    # a last line without an end would swallow the new one
    [ -z "$(tail -c 1 /etc/fstab)" ] || echo >>/etc/fstab
    printf '%s\n' "$line" >>/etc/fstab
fi
mkdir -p "$mount"
systemctl daemon-reload
systemctl enable lustre-client-tuning.service
systemctl start "$unit"
systemctl start lustre-client-tuning.service

if [ ! -e /opt/headrace/Makefile ]; then
    [ -n "$repository" ] ||
        give_up "Headrace is not at /opt/headrace; clone it there and run headrace-setup again"
    rm -rf /opt/headrace.new
    git clone -- "$repository" /opt/headrace.new
    mv -T /opt/headrace.new /opt/headrace
fi
make -C /opt/headrace install PYTHON="$python"
ln -sf /opt/headrace/.venv/bin/headrace /opt/headrace/.venv/bin/headraced /usr/local/bin/
id headrace >/dev/null 2>&1 ||
    useradd --system --home-dir /var/lib/headrace --shell /usr/sbin/nologin headrace
cp /opt/headrace/systemd/headraced.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now headraced.service
: >/var/lib/headrace-setup.done
"""
"""Its first lines, after #!, set `source`, `mount`, its `unit`, and `repository`."""

TUNING: Final = r"""#!/bin/sh
# What AWS advises for clients; Lustre forgets it at every mount.
# https://docs.aws.amazon.com/fsx/latest/LustreGuide/performance-tips.html
set -eu
lctl set_param 'osc.*OST*.max_rpcs_in_flight=32'
lctl set_param 'mdc.*.max_rpcs_in_flight=64'
lctl set_param 'mdc.*.max_mod_rpcs_in_flight=50'
# more than 64 GiB of memory would otherwise keep locks by the million
if [ "$(awk '$1 == "MemTotal:" {print $2}' /proc/meminfo)" -gt 67108864 ]; then
    lctl set_param 'ldlm.namespaces.*.lru_max_age=600000'
fi
"""

SETUP_UNIT: Final = """[Unit]
Description=Lustre client, mount and Headrace, until all of it is there
Wants=network-online.target
After=network-online.target
ConditionPathExists=!/var/lib/headrace-setup.done

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/headrace-setup
TimeoutStartSec=infinity
Restart=on-failure
RestartSec=60
# trying again changes nothing about what a person has to look at
RestartPreventExitStatus=2

[Install]
WantedBy=multi-user.target
"""


def tuning_unit(mount_unit: str) -> str:
    """The unit that tunes the client whenever `mount_unit` is mounted."""
    return f"""[Unit]
Description=Tuning of the Lustre client
Requires={mount_unit}
After={mount_unit}

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/lustre-client-tuning

[Install]
WantedBy={mount_unit}
"""


def drop_in(mount: str) -> str:
    """What headraced.service needs to write to the file system, and to wait for it."""
    return f"""[Unit]
RequiresMountsFor={mount}

[Service]
ReadWritePaths={mount}
"""
