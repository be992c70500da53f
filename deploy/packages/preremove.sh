#!/bin/sh
# Before NAME is removed; not before an upgrade.
set -e
if [ "$1" = remove ] || [ "$1" = 0 ]; then
	systemctl disable NAME.service
	[ ! -d /run/systemd/system ] || systemctl stop NAME.service
fi
