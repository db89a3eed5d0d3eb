#!/bin/sh
# The last step of mmdebstrap: makes the new root ($1) a host of the tests, and an ext4 file system ($2) of it.
set -eu
root=$1 image=$2

echo creance-debian > "$root/etc/hostname"
printf '127.0.0.1 localhost creance-debian\n' > "$root/etc/hosts"
printf '/dev/nvme0n1 / ext4 defaults 0 1\n' > "$root/etc/fstab"

# Whoever asks whether the host can be reached logs in as an administrator does: by ssh.
mkdir -p -m 700 "$root/root/.ssh"
chroot "$root" ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp "$root/root/.ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
printf 'Host localhost\n  StrictHostKeyChecking no\n  BatchMode yes\n  ConnectTimeout 10\n' > "$root/root/.ssh/config"

# What is tested comes behind this file system, on the same disk: the kernel may name two disks in either order.
cat > "$root/etc/systemd/system/creance-tests.service" <<'UNIT'
[Unit]
Description=What is tested in this VM
After=ssh.service systemd-user-sessions.service
[Service]
ExecStartPre=mkdir -p /opt/tests
ExecStartPre=sh -c 'dd if=/dev/nvme0n1 bs=1M skip=1024 status=none | tar -xf - -C /opt/tests'
ExecStart=/opt/tests/vm-init debian
StandardOutput=journal+console
StandardError=journal+console
# It stops services and reboots: only its own end ends it.
KillMode=process
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../creance-tests.service "$root/etc/systemd/system/multi-user.target.wants/creance-tests.service"

# Of mmdebstrap: while it is there, no package starts its service.
rm -f "$root/usr/sbin/policy-rc.d"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
truncate -s 1G "$image"
# Another view of the root, without /proc and /sys mounted in it.
view=$(mktemp -d)
mount --bind "$root" "$view"
mke2fs -q -F -t ext4 -L root -d "$view" "$image"
umount "$view"
rmdir "$view"
