"""What the kernel's half does, in the running kernel: single packets by BPF_PROG_TEST_RUN, whole connections in namespaces."""
