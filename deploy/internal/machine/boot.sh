# The first process of a machine, which finally executes systemd. It has its own
# namespaces and cgroup, and creates the machine's root: an overlay on the host's, with
# all changes in memory.
#
#   bash boot.sh NAME FOLDER    FOLDER must be empty, and stays empty on the host
set -euo pipefail
name=$1 folder=$2

# A cgroup namespace is rooted at the cgroup of the process that creates it, so it
# cannot be created together with the others.
[ -n "${in_cgroup-}" ] || in_cgroup=yes exec unshare --cgroup bash "$0" "$@"

mount --make-rprivate /
# The upper layer cannot be on an overlay, which the root of a container may be.
mount -t tmpfs tmpfs "$folder"
mkdir "$folder"/{changes,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$folder/changes,workdir=$folder/work" overlay "$folder/root"
cd "$folder/root"
mkdir -p host

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
# Kernel settings belong to the host: read-only.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys

mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
while read -r file major minor; do mknod -m 666 "dev/$file" c "$major" "$minor"; done <<-DEVICES
	null 1 3
	zero 1 5
	full 1 7
	random 1 8
	urandom 1 9
	tty 5 0
DEVICES
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for n in 0 1 2; do ln -s "fd/$n" "dev/$(echo stdin stdout stderr | cut -d ' ' -f $((n + 1)))"; done
touch dev/console

hostname "$name"
echo "$name" >etc/hostname
tr -d - <proc/sys/kernel/random/uuid >etc/machine-id
# There is no network: disable the units that wait for it.
mkdir -p run/systemd/system
for unit in etc/systemd/system/network-online.target.wants/*; do ln -sf /dev/null "run/systemd/system/${unit##*/}"; done
ip link set lo up

pivot_root . host
cd /
umount -l /host
# As in a container; without it systemd passes no credentials to units.
mount --make-rshared /
# No process of the machine can set the host's clock or load a kernel module.
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	setpriv --bounding-set -sys_time,-sys_module,-sys_rawio \
	/usr/lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=no
