#!/usr/bin/env bash
# pluggy 1.7.0: of two distributions that declare an entry point of one name, only the first is loaded, in silence.
#
# Expected: both are loaded (each has a hook of its own, and hooks may have many implementations), or an error tells of
# the clash, as registering two plugins under one name by hand does.
# Seen: load_setuptools_entrypoints() loads one of the two, the one that comes first on sys.path, and returns 1.
# It matters where what is installed decides what runs: installing a second package can replace a first one's part, or
# have no effect, and neither says so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pluggy==1.7.0

for name in alpha beta; do
    mkdir -p "$work/$name/$name-1.0.dist-info"
    printf 'Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n' "$name" >"$work/$name/$name-1.0.dist-info/METADATA"
    printf '[app]\ncolours = %s\n' "$name" >"$work/$name/$name-1.0.dist-info/entry_points.txt"
    printf 'import pluggy\n\n@pluggy.HookimplMarker("app")\ndef colour():\n    return "of %s"\n' "$name" >"$work/$name/$name.py"
done

cat >"$work/ask.py" <<'PYTHON'
import pluggy


class Hooks:
    @pluggy.HookspecMarker("app")
    def colour(self): ...


plugins = pluggy.PluginManager("app")
plugins.add_hookspecs(Hooks)
print(plugins.load_setuptools_entrypoints("app"), "loaded:", plugins.hook.colour())

by_hand = pluggy.PluginManager("app")
by_hand.register(object(), "colours")
try:
    by_hand.register(object(), "colours")
except ValueError:
    print("by hand: ValueError")
PYTHON

{
    PYTHONPATH="$work/alpha:$work/beta" "$work/venv/bin/python" "$work/ask.py"
    PYTHONPATH="$work/beta:$work/alpha" "$work/venv/bin/python" "$work/ask.py"
} >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
1 loaded: ['of alpha']
by hand: ValueError
1 loaded: ['of beta']
by hand: ValueError
SEEN
