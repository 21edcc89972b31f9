#!/usr/bin/env bash
# towncrier 26.9.0: `build` passes over a fragment whose type is misspelt, and ends with success; `check` refuses it.
#
# Expected: what `check` calls invalid, `build` does not leave out of a release in silence.
# Seen: `build` writes the other fragments, removes their files, leaves the misspelt one where it is, and says nothing of
# it (status 0). `check` on a branch that adds the same file ends with status 1.
# It matters to a project that runs only `build`: a change goes untold, and its file stays for all releases to come.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check towncrier==26.9.0
towncrier="$work/venv/bin/towncrier"

mkdir -p "$work/project/news"
cd "$work/project"
printf '[tool.towncrier]\nname = "x"\nversion = "1"\ndirectory = "news"\nfilename = "NEWS.md"\n' >pyproject.toml
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
git init --quiet --initial-branch=main .
git add . && git commit --quiet --message begin
git switch --quiet --create change
echo "Told." >news/1.feature.md
echo "Not told." >news/2.feture.md
git add . && git commit --quiet --message change

{
    "$towncrier" check --compare-with main >/dev/null 2>&1 && echo "check: 0" || echo "check: $?"
    "$towncrier" build --yes >"$work/said" 2>&1 && echo "build: 0" || echo "build: $?"
    grep --count feture "$work/said" || true
    grep --only-matching --regexp '^- .*old' NEWS.md
    ls news
} >"$work/seen"

cat "$work/seen"
diff - "$work/seen" <<'SEEN'
check: 1
build: 0
0
- Told
2.feture.md
SEEN
