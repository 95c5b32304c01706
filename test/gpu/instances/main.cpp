// SPDX-License-Identifier: Apache-2.0
//
// gpu-instance-dump [--timed] FOLDER [NAME...]: compiles every instance (or those named) and writes NAME.ptx and NAME.json; without a folder it prints
// the names. --timed: those that are there to be timed beside others' libraries. A machine with a GPU needs no more than such folders.

namespace instances {
int run(int argc, char **argv);
}

int main(int argc, char **argv) { return instances::run(argc, argv); }
