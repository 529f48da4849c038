/* Einsum nodes that are products of two operands. */
#ifndef COP_PRUNE_EINSUM_H
#define COP_PRUNE_EINSUM_H

#include "prune/targets.h"

/* Has it two operands, and no letter twice in one of them? */
bool cop_einsum_is_product(const cop_node *node);

/* As cop_weight_view_of: rows are the letters that only the weight has, columns those that are
 * summed over, groups those that both operands and the output have. */
bool cop_einsum_view(const cop_weight_use *use, cop_weight_view *out);

/* Multiply-accumulates for operands of these shapes; -1: they do not fit. */
int64_t cop_einsum_macs(const cop_node *node, const coppice_tensor *a, const coppice_tensor *b);

#endif
