#!/bin/bash
# User data of an EC2 instance, run as root at its first boot: installs the daemon as a service and starts it. For Amazon Linux 2023
# and others with dnf, and for Debian and Ubuntu. See docs/deploy.md.
#
# Put the packages of a release into a bucket of yours and write its name below. The instance's role needs s3:GetObject of it, and
# the managed policy AWSXRayDaemonWriteAccess. Region and credentials come from the instance; no key is needed.
set -eu

from=s3://example-bucket/xray
version=0.1.0

# Room for bursts, which the kernel keeps for the daemon.
echo 'net.core.rmem_max = 8388608' >/etc/sysctl.d/90-xray.conf
sysctl --load /etc/sysctl.d/90-xray.conf

# What is in /etc/amazon/xray/cfg.yaml before the installation is kept by it.
cd "$(mktemp -d)"
if command -v dnf >/dev/null; then
    package="xray-daemon-$version-1.$(uname -m).rpm"
    aws s3 cp "$from/$package" "$package"
    # It takes the place of AWS's package `xray`, if that is there.
    dnf install --assumeyes "./$package"
else
    apt-get update
    # Ubuntu has it as a snap, Debian as a package.
    command -v aws >/dev/null || snap install aws-cli --classic || apt-get install --yes awscli
    package="xray-daemon_$version-1_$(dpkg --print-architecture).deb"
    aws s3 cp "$from/$package" "$package"
    DEBIAN_FRONTEND=noninteractive apt-get install --yes -o Dpkg::Options::=--force-confold "./$package"
fi

# The installation has started it. One line in the log of the first boot (/var/log/cloud-init-output.log) says how it is.
xray doctor || true
