//! Our own binary as a limited child: resource limits, a deadline, no environment, pipes only. It does not know who asked.
