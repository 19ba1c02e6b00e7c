#!/bin/sh
# Installs Karman on this machine and joins it to a cluster.
#   sh -s -- master|agent|public-agent TOKEN [ADDRESS]
# ADDRESS is the one by which the other machines know this one, if it is not the
# one that its connection comes from. Repeating is harmless.
set -eu

fail() {
  echo "karman: $1" >&2
  exit 1
}

# Everything is in a function that the last line calls: of a script that arrives
# in part, nothing runs.
main() {
  [ $# -ge 2 ] || fail "usage: sh -s -- master|agent|public-agent TOKEN [ADDRESS]"
  case $1 in
    master | agent | public-agent) ;;
    *) fail "'$1' is no role: take master, agent or public-agent" ;;
  esac
  [ "$(id -u)" = 0 ] || fail "run it as root: curl ... | sudo sh -s -- $1 TOKEN"
  for program in curl sha256sum; do
    command -v "$program" >/dev/null || fail "install $program first"
  done
  umask 022
  folder=/opt/karman/installer/bin
  installer=$folder/@SHA256@
  mkdir -p "$folder"
  if ! echo "@SHA256@  $installer" | sha256sum --check --status 2>/dev/null; then
    echo "karman: fetching the installer"
    new=$installer.$$
    curl -fsSk --pinnedpubkey '@PIN@' -o "$new" @URL@/karman-installer ||
      fail "the installer cannot be fetched from @URL@"
    if ! echo "@SHA256@  $new" | sha256sum --check --status; then
      rm -f "$new"
      fail "what was fetched is not the installer that was promised; nothing was run"
    fi
    chmod 755 "$new"
    mv "$new" "$installer"
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 700 "$work"
  "$installer" node ask --role "$1" --token "$2" ${3:+--address "$3"} >"$work/request" ||
    fail "this machine cannot ask to join"
  echo "karman: asking @URL@"
  status=$(curl -sSk --pinnedpubkey '@PIN@' -o "$work/answer" -w '%{http_code}' \
    -H 'Content-Type: application/json' --data-binary "@$work/request" @URL@/join) ||
    fail "@URL@ cannot be reached"
  if [ "$status" != 200 ]; then
    # What was refused leaves as little behind as what was never asked for.
    [ "$status" != 403 ] || [ -e /opt/karman/current ] ||
      "$installer" node remove </dev/null >/dev/null || true
    fail "not admitted: $(cat "$work/answer")"
  fi
  "$installer" node accept --key @KEY@ <"$work/answer"
}

main "$@"
