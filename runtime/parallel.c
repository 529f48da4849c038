/* Thread pools on pthreadpool, the one parallel-for, and flush-to-zero for the calling thread. */
#include "runtime/parallel.h"

#include <stdatomic.h>
#include <stdint.h>

#include <pthreadpool.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "runtime/cores.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COP_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define COP_TSAN 1
#endif

/* The system's pthreadpool is not instrumented, so the thread sanitizer does not see that a job
 * begins after its call and ends before the return: it is told here. */
#if defined(COP_TSAN)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define COP_TSAN_ACQUIRE(address) __tsan_acquire(address)
#define COP_TSAN_RELEASE(address) __tsan_release(address)
#else
#define COP_TSAN_ACQUIRE(address) (void)(address)
#define COP_TSAN_RELEASE(address) (void)(address)
#endif

enum { MAX_THREADS = 1024 };

coppice_status coppice_threadpool_create(unsigned threads, coppice_threadpool **out,
                                         coppice_error *error) {
    *out = NULL;
    if (threads > MAX_THREADS)
        return cop_fail(error, COPPICE_INVALID_ARGUMENT,
                        "%u threads asked for; at most %d are allowed", threads, MAX_THREADS);
    coppice_threadpool *pool = cop_calloc(1, sizeof *pool);
    if (!pool)
        return cop_fail_memory(error, sizeof *pool);
    pool->threads = threads ? threads : cop_default_threads();
    if (pool->threads > MAX_THREADS)
        pool->threads = MAX_THREADS;
    if (pool->threads > 1) {
        pool->pool = pthreadpool_create(pool->threads);
        if (!pool->pool) {
            unsigned wanted = pool->threads;
            cop_free(pool);
            return cop_fail(error, COPPICE_OUT_OF_MEMORY, "cannot start %u threads", wanted);
        }
    }
    *out = pool;
    return COPPICE_OK;
}

unsigned coppice_threadpool_threads(const coppice_threadpool *pool) {
    return pool ? pool->threads : 1;
}

void coppice_threadpool_free(coppice_threadpool *pool) {
    if (!pool)
        return;
    if (pool->pool)
        pthreadpool_destroy(pool->pool);
    cop_free(pool);
}

typedef struct job {
    void (*task)(void *context, size_t begin, size_t end);
    void *context;
    atomic_bool cut; /* a task was left out after an interrupt */
} job;

static void run_tile(void *argument, size_t begin, size_t count) {
    job *j = argument;
    COP_TSAN_ACQUIRE(j);
    if (cop_interrupted())
        atomic_store(&j->cut, true);
    else
        j->task(j->context, begin, begin + count);
    COP_TSAN_RELEASE(j);
}

void cop_parallel_for(const coppice_threadpool *pool, size_t count, size_t grain,
                      void (*task)(void *context, size_t begin, size_t end), void *context) {
    if (count == 0)
        return;
    if (grain == 0)
        grain = 1;
    if (!pool || !pool->pool || count <= grain) {
        unsigned saved = cop_denormals_off();
        for (size_t begin = 0; begin < count; begin += grain) {
            if (cop_interrupted()) {
                cop_interrupt_cut();
                break;
            }
            task(context, begin, count - begin < grain ? count : begin + grain);
        }
        cop_denormals_restore(saved);
        return;
    }
    job j = {.task = task, .context = context};
    COP_TSAN_RELEASE(&j);
    pthreadpool_parallelize_1d_tile_1d(pool->pool, run_tile, &j, count, grain,
                                       PTHREADPOOL_FLAG_DISABLE_DENORMALS);
    COP_TSAN_ACQUIRE(&j);
    if (atomic_load(&j.cut))
        cop_interrupt_cut();
}

#if defined(__SSE2__)
enum { MXCSR_FLUSH_TO_ZERO = 0x8000, MXCSR_DENORMALS_ARE_ZERO = 0x0040 };

unsigned cop_denormals_off(void) {
    unsigned state = _mm_getcsr();
    _mm_setcsr(state | MXCSR_FLUSH_TO_ZERO | MXCSR_DENORMALS_ARE_ZERO);
    return state;
}

void cop_denormals_restore(unsigned state) {
    _mm_setcsr(state);
}
#elif defined(__aarch64__)
#define FPCR_FLUSH_TO_ZERO (UINT64_C(1) << 24)

unsigned cop_denormals_off(void) {
    uint64_t state;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(state));
    __asm__ __volatile__("msr fpcr, %0" ::"r"(state | FPCR_FLUSH_TO_ZERO) : "memory");
    return (unsigned)state;
}

void cop_denormals_restore(unsigned state) {
    __asm__ __volatile__("msr fpcr, %0" ::"r"((uint64_t)state) : "memory");
}
#else
unsigned cop_denormals_off(void) {
    return 0;
}

void cop_denormals_restore(unsigned state) {
    (void)state;
}
#endif
