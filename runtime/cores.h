/* How many threads are useful here: cores, CPU affinity, the quota of the cgroup. */
#ifndef COP_RUNTIME_CORES_H
#define COP_RUNTIME_CORES_H

/* Physical cores that this process may run on, limited by the cgroup's CPU quota; at least 1. */
unsigned cop_default_threads(void);

/* CPUs' worth of time that the cgroups (v1 or v2) of a process grant, rounded up; 0: no limit.
 * `membership` is the text of /proc/self/cgroup, `root` where the hierarchies are mounted. */
unsigned cop_cgroup_cpus(const char *membership, const char *root);

#endif
