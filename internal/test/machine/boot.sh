# The first process of a machine, which finally executes systemd. It has its own
# namespaces and cgroup. It mounts the machine's root: an overlay on ROOT, the host's or
# another one, with all changes in FOLDER/changes, which is in memory and outlives the boot.
#
#   bash -c "$(cat boot.sh)" boot NAME FOLDER ROOT
set -euo pipefail
name=$1 folder=$2 root=$3 first=
[ -e "$folder/changes" ] || first=yes
mkdir -p "$folder"/{changes,work,root}
mount -t overlay -o "lowerdir=$root,upperdir=$folder/changes,workdir=$folder/work" overlay "$folder/root"
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
# The kernel has one boot ID, of the host.
cat /proc/sys/kernel/random/uuid >run/boot_id
mount --bind run/boot_id proc/sys/kernel/random/boot_id

mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
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
if [ -n "$first" ]; then
	echo "$name" >etc/hostname
	echo "127.0.1.1 $name" >>etc/hosts
	tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
	# No service, disk or journal of the host belongs to the machine.
	rm -rf etc/systemd/system/*.wants etc/fstab var/log/journal
	ln -s /dev/null etc/systemd/system/getty.target
	mkdir var/log/journal
fi

pivot_root . host
cd /
umount -l /host
# As in a container; without it systemd passes no credentials to units.
mount --make-rshared /
# Nobody is logged in, as at the start of any machine, even if who runs the test is.
echo 4294967295 >/proc/self/loginuid 2>/dev/null || true
# No process of the machine can set the host's clock or load a kernel module.
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	setpriv --bounding-set -sys_time,-sys_module,-sys_rawio \
	/usr/lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no
