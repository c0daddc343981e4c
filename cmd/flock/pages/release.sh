#!/bin/bash
# Makes what a release consists of from programs that are built: packages for Linux
# distributions, archives, a formula for Homebrew, a list of what is linked, checksums.
#
#   release.sh DIST VERSION TOOLS TARGET...        from the tree's root
#
# DIST has flock-OS-ARCH for each TARGET (OS/ARCH). Everything has the time of the commit
# ($SOURCE_DATE_EPOCH), so that two builds have the same bytes.
set -euo pipefail
dist=$1 version=$2 tools=$3
shift 3
export SOURCE_DATE_EPOCH
umask 022

# quietly runs a program that says much, and shows it when it fails.
quietly() { local out; out=$("$@" 2>&1) || { echo "$out" >&2; return 1; }; }

rm -f "$dist"/*.{deb,rpm,apk,tar.gz,sbom.json,rb} "$dist/SHA256SUMS" # of another version, perhaps
programs=()
for target in "$@"; do programs+=("$dist/flock-${target/\//-}"); done
rm -rf "$dist/share"
go run ./cmd/flock/pages "$dist/share" "${programs[@]}" bin/agents/*
gzip -9n "$dist"/share/man[17]/*
cp LICENSE "$dist/share/"
find "$dist" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} + # nfpm's apk has their times
quietly "$tools/cyclonedx-gomod" mod -type application -std -licenses -noserial -notimestamp -json -output "$dist/flock-$version.sbom.json" .

# pack ARCHIVE DIRECTORY: what is in the directory, below a directory of the archive's name.
pack() {
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$2" -cf - . \
    --transform "s,^\.,$(basename "$1" .tar.gz)," | gzip -9n >"$1"
}

for target in "$@"; do
  os=${target%/*} arch=${target#*/} program=$dist/flock-${target/\//-}
  stage=$(mktemp -d)
  install -m 0755 "$program" "$stage/flock"
  cp -r README.md docs "$dist/share/LICENSE" "$dist/share/NOTICE" "$stage/"
  pack "$dist/flock-$version-$os-$arch.tar.gz" "$stage"
  rm -rf "$stage"
  [[ $os == linux ]] || continue
  for format in deb rpm apk; do
    case $format in deb) zsh=/usr/share/zsh/vendor-completions ;; *) zsh=/usr/share/zsh/site-functions ;; esac
    DIST=$dist ARCH=$arch VERSION=$version ZSH=$zsh \
      quietly "$tools/nfpm" package -f cmd/flock/pages/nfpm.yaml -p "$format" -t "$dist/flocknet-$version-$arch.$format"
  done
done

# formula is Homebrew's, of the archives that there are.
formula() {
  cat <<END
class Flocknet < Formula
  desc "Networks between Linux servers, from one file, over SSH"
  homepage "https://github.com/flocknet/flock"
  version "$version"
  license "Apache-2.0"
END
  for target in "$@"; do
    local os=${target%/*} arch=${target#*/} file cpu system
    file=flock-$version-$os-$arch.tar.gz
    case $arch in amd64) cpu=intel ;; *) cpu=arm ;; esac
    case $os in darwin) system=macos ;; *) system=linux ;; esac
    cat <<END

  on_$system do
    on_$cpu do
      url "https://github.com/flocknet/flock/releases/download/v$version/$file"
      sha256 "$(sha256sum "$dist/$file" | cut -d ' ' -f 1)"
    end
  end
END
  done
  cat <<'END'

  # util-linux, which is a formula too, has a flock.
  def install
    bin.install "flock" => "flocknet"
    (libexec/"bin").install_symlink bin/"flocknet" => "flock"
  end

  test do
    system "#{bin}/flocknet", "version"
  end
end
END
}
formula "$@" >"$dist/flocknet.rb"

cd "$dist"
sha256sum -- *.tar.gz *.sbom.json flocknet.rb $(ls -- *.deb *.rpm *.apk 2>/dev/null) >SHA256SUMS
