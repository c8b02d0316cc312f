#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# deps.sh run|report|test|fuzz|prove|format|all [--check]: installs, by name and with apt-get, what is missing.
#
#   run     what it takes to build the kernel and boot it
#   report  that, and what draws the plots, for `make report`
#   test    that, and what the host tests, the model and the mutation tests need
#   fuzz    that, and clang with its sanitizers and libFuzzer, for `make fuzz` alone
#   prove   what `make prove` needs, and no more: Frama-C and provers; not part of `all`
#   format  what `make format` needs, and no more
#   all     all that, and the debugger
#
# --check only says what is missing. Exit status 0: everything is there. 1: something is missing
# and was not, or could not be, installed; the packages have been named.
#
# A need is met by its package or, where that was not installed as one (another distribution, a
# tool built by hand), by its witness: a command on the path, a file, or a module of Python's. Nothing
# is asked of the network, and nothing needs root, as long as all needs are met.
set -euo pipefail

# package, witness
run_needs='
make                            make
python3                         python3
qemu-system-misc                qemu-system-riscv64
opensbi                         /usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin
gcc-riscv64-unknown-elf         riscv64-unknown-elf-gcc
binutils-riscv64-unknown-elf    riscv64-unknown-elf-objdump
picolibc-riscv64-unknown-elf    /usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs
libck-dev                       /usr/include/ck_spinlock.h
'
report_needs='
gnuplot-nox                     gnuplot
'
test_needs='
gcc                             gcc
libc6-dev                       /usr/include/stdio.h
device-tree-compiler            dtc
libfdt-dev                      /usr/include/libfdt.h
spin                            spin
python3-pytest                  python:pytest
python3-pytest-xdist            python:xdist
python3-pyelftools              python:elftools
gdb-multiarch                   gdb-multiarch
python3-pexpect                 python:pexpect
'
fuzz_needs='
clang                           clang
'
prove_needs='
python3                         python3
gcc                             gcc
frama-c-base                    frama-c
why3                            why3
z3                              z3
cvc4                            cvc4
'
git_need='
git                             git
'
format_needs='
clang-format                    clang-format
'

usage()
{
	echo "usage: $0 run|report|test|fuzz|prove|format|all [--check]" >&2
	exit 2
}

has_dpkg()
{
	command -v dpkg-query >/dev/null
}

# Of the packages named, those that are installed, one to a line.
installed()
{
	# It fails when it knows nothing of one of them, and lists the others all the same.
	dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
		sed -n 's/^installed //p' || true
}

has_witness()
{
	case $1 in
	/*) [ -e "$1" ] ;;
	python:*) python3 -c "import ${1#python:}" 2>/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# The packages of the needs on standard input that are not met.
missing_of()
{
	local needs package witness have=''
	needs=$(cat)
	if has_dpkg; then
		# shellcheck disable=SC2046
		have=" $(installed $(awk '{ print $1 }' <<<"$needs") | tr '\n' ' ')"
	fi
	while read -r package witness; do
		if [ -n "$package" ] && [[ $have != *" $package "* ]] && ! has_witness "$witness"; then
			echo "$package"
		fi
	done <<<"$needs"
}

# Clang's sanitizers and fuzzer are in a package that carries clang's major version. While clang
# is missing too, the version is that of the clang that would be installed.
clang_runtime_missing()
{
	local archive major
	if command -v clang >/dev/null; then
		archive=libclang_rt.fuzzer-$(uname -m).a
		[ "$(clang -print-file-name="$archive")" = "$archive" ] || return 0
		archive=libclang_rt.fuzzer.a
		[ "$(clang -print-file-name="$archive")" = "$archive" ] || return 0
		major=$(clang -dumpversion | cut -d. -f1)
	else
		major=$(apt-cache depends clang 2>/dev/null |
			sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
	fi
	echo "libclang-rt-${major:-14}-dev"
}

# What the wanted group lacks, one package to a line.
missing()
{
	local needs=$run_needs
	case $group in
	report) needs+=$report_needs ;;
	test) needs+=$report_needs$git_need$test_needs ;;
	fuzz) needs+=$report_needs$git_need$test_needs$fuzz_needs ;;
	prove) needs=$prove_needs ;;
	format) needs=$git_need$format_needs ;;
	all) needs+=$report_needs$git_need$test_needs$fuzz_needs$format_needs ;;
	esac
	missing_of <<<"$needs"
	case $group in
	fuzz | all) clang_runtime_missing ;;
	esac
}

# Later releases split the RISC-V emulator off from the others.
current_names()
{
	if apt-cache show qemu-system-riscv >/dev/null 2>&1; then
		sed 's/^qemu-system-misc$/qemu-system-riscv/'
	else
		cat
	fi
}

give_up()
{
	echo "deps: $1; please install: $(missing | tr '\n' ' ')" >&2
	exit 1
}

# sudo can ask for a password only where a user can type it.
run_sudo()
{
	if [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		run_sudo env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

check_can_install()
{
	command -v apt-get >/dev/null || give_up 'this machine has no apt-get'
	[ "$(id -u)" -eq 0 ] && return
	command -v sudo >/dev/null || give_up 'not root, and there is no sudo'
	echo 'deps: not root: apt-get will run under sudo'
	run_sudo true || give_up 'not root, and sudo refuses'
}

install()
{
	local packages
	check_can_install
	echo "deps: updating apt-get's lists, then installing: $(missing | tr '\n' ' ')"
	as_root apt-get update -q || give_up 'apt-get update failed'
	if [ "$group" = prove ] && ! apt-cache show frama-c-base >/dev/null 2>&1; then
		give_up 'this release has no frama-c-base: Debian 12 has it, Debian 13 has not'
	fi
	# Asked again: the lists may only now know which names this release has.
	mapfile -t packages < <(missing | current_names)
	as_root apt-get install -q -y --no-install-recommends "${packages[@]}" ||
		give_up 'apt-get install failed'
	[ -z "$(missing)" ] || give_up 'still missing after the installation'
}

case $* in
run | report | test | fuzz | prove | format | all) check_only= ;;
'run --check' | 'report --check' | 'test --check' | 'fuzz --check' | 'prove --check' | 'format --check' | \
	'all --check') check_only=yes ;;
*) usage ;;
esac
group=$1

[ -n "$(missing)" ] || exit 0
[ -z "$check_only" ] || give_up 'not everything is here'
install
