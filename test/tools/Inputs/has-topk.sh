#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Interesting (1) is a file that holds a TopK.
if grep -q '"TopK"' "$1"; then exit 1; fi
exit 0
