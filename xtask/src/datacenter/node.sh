# Runs one node, in a mount namespace of its own, which ends with it.
# Variables: FOLDER BASE NETNS BRIDGE MACHINE HOST UNIFIED GROUPS_TO_ENTER KEEPER.
set -eu
enter() {
  for group in $GROUPS_TO_ENTER; do echo 0 > "$group$1/cgroup.procs"; done
}
enter "$KEEPER"
mount -t overlay overlay \
  -o "lowerdir=$BASE,upperdir=$FOLDER/disk,workdir=$FOLDER/work" "$FOLDER/root"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="$UNIFIED"
ended=133
# This is what it ends with when the node has been told to reboot.
while [ "$ended" = 133 ]; do
  ended=0
  (
    enter ""
    exec nsenter --net="$NETNS" systemd-nspawn --quiet --boot --register=no --keep-unit \
      --capability=all --console=read-only --network-bridge="$BRIDGE" \
      --machine="$MACHINE" --hostname="$HOST" --directory="$FOLDER/root" \
      --bind="$FOLDER/var:/var" --settings=no --link-journal=no --resolv-conf=off --timezone=off
  ) || ended=$?
done
exit "$ended"
