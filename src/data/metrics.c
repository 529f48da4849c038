/* Metrics: top-k hits, and how far one model's outputs are from another's. */
#include <coppice/metrics.h>

#include <math.h>

#include "base/error.h"
#include "data/convert.h"

/* A tensor as rows of `values` numbers. */
typedef struct table {
    coppice_type type;
    const void *data;
    int64_t values; /* per row */
} table;

static coppice_status check(const coppice_tensor *tensor, int64_t rows, bool integers, table *out,
                            coppice_error *err) {
    int64_t count = tensor->rank <= COPPICE_MAX_RANK ? coppice_tensor_count(tensor) : -1;
    if (!cop_is_numpy_float(tensor->type) && !(integers && cop_is_numpy_integer(tensor->type)))
        return cop_fail(err, COPPICE_UNSUPPORTED, "scores of type %s; floats are needed",
                        coppice_type_name(tensor->type));
    if (count < 0 || tensor->rank == 0 || rows < 0 || rows > tensor->dims[0])
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "scores without %lld rows along their first dimension", (long long)rows);
    *out = (table){tensor->type, tensor->data, tensor->dims[0] > 0 ? count / tensor->dims[0] : 0};
    return COPPICE_OK;
}

static double at(const table *t, int64_t index) {
    if (cop_is_numpy_float(t->type))
        return cop_load_float(t->type, t->data, index);
    return (double)cop_load_integer(t->type, t->data, index, NULL);
}

/* Whether score a at a lower index (first true) or higher index comes before score b. */
static bool comes_before(double a, double b, bool first) {
    if (isnan(a) || isnan(b))
        return isnan(a) ? isnan(b) && first : true;
    return a > b || (a == b && first);
}

coppice_status coppice_metric_top_k(const coppice_tensor *scores, const int64_t *labels,
                                    int64_t rows, int64_t k, int64_t *hits, coppice_error *error) {
    table t;
    COP_TRY(check(scores, rows, false, &t, error));
    int64_t found = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t start = row * t.values, ahead = 0;
        if (labels[row] < 0 || labels[row] >= t.values)
            return cop_fail(error, COPPICE_BAD_DATA,
                            "label %lld does not fit a model with %lld classes",
                            (long long)labels[row], (long long)t.values);
        double own = at(&t, start + labels[row]);
        for (int64_t i = 0; i < t.values && ahead < k; i++)
            ahead += i != labels[row] && comes_before(at(&t, start + i), own, i < labels[row]);
        found += ahead < k;
    }
    *hits += found;
    return COPPICE_OK;
}

coppice_status coppice_metric_argmax(const coppice_tensor *scores, int64_t rows, int64_t *best,
                                     coppice_error *error) {
    table t;
    COP_TRY(check(scores, rows, false, &t, error));
    if (rows > 0 && t.values == 0)
        return cop_fail(error, COPPICE_INVALID_ARGUMENT, "scores without classes");
    for (int64_t row = 0; row < rows; row++) {
        int64_t start = row * t.values, top = 0;
        double highest = at(&t, start);
        for (int64_t i = 1; i < t.values; i++) {
            double value = at(&t, start + i);
            if (comes_before(value, highest, false)) {
                top = i;
                highest = value;
            }
        }
        best[row] = top;
    }
    return COPPICE_OK;
}

void coppice_metric_wilson(int64_t hits, int64_t count, double *low, double *high) {
    const double z = 1.959963984540054;
    *low = 0;
    *high = 1;
    if (count <= 0)
        return;
    double n = (double)count, p = (double)hits / n;
    double scale = 1 + z * z / n;
    double centre = (p + z * z / (2 * n)) / scale;
    double half = z / scale * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *low = fmax(0, centre - half);
    *high = fmin(1, centre + half);
}

/* One distribution: `count` values of a table, `step` apart. */
typedef struct row {
    const table *of;
    int64_t start, step, count;
} row;

static double value(const row *r, int64_t i) {
    return at(r->of, r->start + i * r->step);
}

static bool is_distribution(const row *r) {
    double sum = 0;
    for (int64_t i = 0; i < r->count; i++) {
        double p = value(r, i);
        if (!(p >= 0))
            return false;
        sum += p;
    }
    return fabs(sum - 1) <= 1e-3;
}

/* log(sum(exp(x))) without overflow. */
static double log_sum(const row *r) {
    double highest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < r->count; i++)
        highest = fmax(highest, value(r, i));
    for (int64_t i = 0; i < r->count; i++)
        sum += exp(value(r, i) - highest);
    return highest + log(sum);
}

static double divergence(const row *a, const row *b) {
    double sum = 0;
    if (is_distribution(a) && is_distribution(b)) {
        for (int64_t i = 0; i < a->count; i++) {
            double p = value(a, i);
            if (p > 0)
                sum += p * (log(p) - log(fmax(value(b, i), 1e-30)));
        }
        return sum;
    }
    double log_a = log_sum(a), log_b = log_sum(b);
    for (int64_t i = 0; i < a->count; i++) {
        double lp = value(a, i) - log_a, p = exp(lp);
        if (p > 0 || isnan(p))
            sum += p * (lp - (value(b, i) - log_b));
    }
    return sum;
}

/* Adds the divergences of one sample; see coppice_metric_kl for the axis. */
static void add_divergences(coppice_metric_sums *sums, const coppice_tensor *shape, const table *a,
                            const table *b, int64_t sample) {
    uint32_t rank = shape->rank;
    while (rank > 2 && shape->dims[rank - 1] == 1)
        rank--;
    uint32_t axis = rank == 3 ? 2 : 1;
    int64_t count = axis < rank ? shape->dims[axis] : 1, step = 1;
    for (uint32_t i = axis + 1; i < rank; i++)
        step *= shape->dims[i];
    int64_t block = count * step, start = sample * a->values;
    for (int64_t outer = 0; block > 0 && outer < a->values / block; outer++) {
        for (int64_t inner = 0; inner < step; inner++) {
            row ra = {a, start + outer * block + inner, step, count};
            row rb = {b, ra.start, step, count};
            sums->kl += divergence(&ra, &rb);
            sums->rows++;
        }
    }
}

coppice_status coppice_metric_add(coppice_metric_sums *sums, const coppice_tensor *a,
                                  const coppice_tensor *b, int64_t rows, coppice_error *error) {
    table ta, tb;
    COP_TRY(check(a, rows, true, &ta, error));
    COP_TRY(check(b, rows, true, &tb, error));
    bool same = a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    if (!same)
        return cop_fail(error, COPPICE_BAD_DATA, "the outputs differ in shape");
    if (sums->values == 0) {
        sums->low = INFINITY;
        sums->high = -INFINITY;
    }
    for (int64_t i = 0; i < rows * ta.values; i++) {
        double x = at(&ta, i), y = at(&tb, i);
        double difference = x == y ? 0 : x - y; /* equal infinities do not differ */
        if (isnan(difference) || fabs(difference) > sums->max_abs)
            sums->max_abs = isnan(sums->max_abs) ? sums->max_abs : fabs(difference);
        sums->squares += difference * difference;
        sums->dot += x * y;
        sums->square_a += x * x;
        sums->square_b += y * y;
        sums->low = fmin(sums->low, x);
        sums->high = fmax(sums->high, x);
    }
    sums->values += rows * ta.values;
    for (int64_t i = 0; i < rows && ta.values > 0; i++)
        add_divergences(sums, a, &ta, &tb, i);
    return COPPICE_OK;
}

double coppice_metric_max_abs(const coppice_metric_sums *sums) {
    return sums->values > 0 ? sums->max_abs : NAN;
}

double coppice_metric_cosine(const coppice_metric_sums *sums) {
    if (sums->values == 0)
        return NAN;
    if (sums->square_a == 0 || sums->square_b == 0)
        return sums->square_a == sums->square_b ? 1 : 0;
    double cosine = sums->dot / (sqrt(sums->square_a) * sqrt(sums->square_b));
    return isnan(cosine) ? cosine : fmax(-1, fmin(1, cosine));
}

double coppice_metric_psnr(const coppice_metric_sums *sums) {
    if (sums->values == 0)
        return NAN;
    if (sums->squares == 0)
        return INFINITY;
    double peak = sums->high > sums->low ? sums->high - sums->low : fabs(sums->high);
    double mean = sums->squares / (double)sums->values;
    return 10 * (2 * log10(peak) - log10(mean));
}

double coppice_metric_kl(const coppice_metric_sums *sums) {
    return sums->rows > 0 ? sums->kl / (double)sums->rows : NAN;
}
