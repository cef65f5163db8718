#!/bin/sh
# Removes from a folder of Python packages what the operator never uses:
#
#   sh trim-packages.sh /opt/vaultsync/lib/python3.13/site-packages
#
# The Dockerfile runs it, and so do the tests on the image's Python. It fails if there is nothing of a kind any more.
set -eu
cd "$1"

# A class for each kind of object and each API group, 2,000 modules, which the Kubernetes client imports by name.
for generated in kubernetes/client/api kubernetes/client/models kubernetes/aio/client/api kubernetes/aio/client/models; do
    find "$generated" -name '*.py' ! -name '__init__.py' -delete
done

# Languages and time zones of python-liquid: templates have filters of their own, in UTC.
find babel/locale-data -name '*.dat' ! -name 'root.dat' ! -name 'en*.dat' -delete
rm -r pytz/zoneinfo tzdata/zoneinfo

# What is for tests, compilers and type checkers.
find . -type d \( -name tests -o -name _tests \) -prune -exec rm -r {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.[ch]' \) -delete
