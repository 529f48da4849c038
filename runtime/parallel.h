/* The one place where kernels get their threads from. */
#ifndef COP_RUNTIME_PARALLEL_H
#define COP_RUNTIME_PARALLEL_H

#include <stddef.h>

#include <coppice/runtime.h>

struct pthreadpool;

struct coppice_threadpool {
    struct pthreadpool *pool; /* NULL: the calling thread alone */
    unsigned threads;
};

/* Calls task(context, begin, end) for ranges of at most `grain` items that cover 0 .. count, on all
 * threads of the pool (NULL: on the caller), and waits. Denormals are flushed to zero within the
 * tasks. Ranges are the same for any number of threads. After an interrupt the ranges that are left
 * are skipped: whoever uses what was made asks cop_check_interrupt first. */
void cop_parallel_for(const coppice_threadpool *pool, size_t count, size_t grain,
                      void (*task)(void *context, size_t begin, size_t end), void *context);

/* Flush-to-zero for the calling thread: cop_denormals_off returns the state to give back to
 * cop_denormals_restore. */
unsigned cop_denormals_off(void);
void cop_denormals_restore(unsigned state);

#endif
