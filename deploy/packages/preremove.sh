#!/bin/sh
# Before the package is removed; not before an upgrade. Debian keeps whether a service is enabled,
# until it is purged: it may be installed again.
set -e
if [ "$1" = remove ] || [ "$1" = 0 ]; then
	for name in NAMES; do
		[ "$1" = remove ] || systemctl disable "$name.service"
		[ ! -d /run/systemd/system ] || systemctl stop "$name.service"
	done
fi
