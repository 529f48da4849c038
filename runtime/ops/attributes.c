/* The attributes that operators have, and in which opsets: what a node has beyond them means
 * something that would not be done. tests/interop compares with ONNX's own schemas. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "runtime/op.h"

typedef struct known_attributes {
    const char *domain, *op;
    const char *names; /* "axis block_size@21 ratio@1-11": in all opsets, from 21 on, in 1 to 11 */
} known_attributes;

/* By operator. */
static const known_attributes table[] = {
    {NULL, "Abs", "consumed_inputs@1-5"},
    {NULL, "Acos", ""},
    {NULL, "Acosh", ""},
    {"ai.onnx.preview.training", "Adagrad", "decay_factor epsilon norm_coefficient"},
    {"ai.onnx.preview.training", "Adam",
     "alpha beta epsilon norm_coefficient norm_coefficient_post"},
    {NULL, "Add", "axis@1-6 broadcast@1-6 consumed_inputs@1-5"},
    {NULL, "AffineGrid", "align_corners"},
    {NULL, "And", "axis@1-6 broadcast@1-6"},
    {NULL, "ArgMax", "axis keepdims select_last_index@12"},
    {NULL, "ArgMin", "axis keepdims select_last_index@12"},
    {"ai.onnx.ml", "ArrayFeatureExtractor", ""},
    {NULL, "Asin", ""},
    {NULL, "Asinh", ""},
    {NULL, "Atan", ""},
    {NULL, "Atanh", ""},
    {NULL, "Attention",
     "is_causal kv_num_heads left_window_size@25 q_num_heads qk_matmul_output_mode "
     "right_window_size@25 scale softcap softmax_precision"},
    {NULL, "AveragePool",
     "auto_pad ceil_mode@10 count_include_pad@7 dilations@19 kernel_shape pads strides"},
    {NULL, "BatchNormalization",
     "consumed_inputs@1-5 epsilon is_test@1-6 momentum spatial@1-8 training_mode@14"},
    {NULL, "Bernoulli", "dtype seed"},
    {"ai.onnx.ml", "Binarizer", "threshold"},
    {NULL, "BitCast", "to"},
    {NULL, "BitShift", "direction"},
    {NULL, "BitwiseAnd", ""},
    {NULL, "BitwiseNot", ""},
    {NULL, "BitwiseOr", ""},
    {NULL, "BitwiseXor", ""},
    {NULL, "BlackmanWindow", "output_datatype periodic"},
    {NULL, "Cast", "round_mode@24 saturate@19 to"},
    {NULL, "CastLike", "round_mode@24 saturate@19"},
    {NULL, "CausalConvWithState", "activation"},
    {NULL, "Ceil", "consumed_inputs@1-5"},
    {NULL, "Celu", "alpha"},
    {NULL, "CenterCropPad", "axes"},
    {NULL, "Clip", "consumed_inputs@1-5 max@1-10 min@1-10"},
    {NULL, "Col2Im", "dilations pads strides"},
    {NULL, "Compress", "axis"},
    {NULL, "Concat", "axis"},
    {NULL, "ConcatFromSequence", "axis new_axis"},
    {NULL, "Constant",
     "sparse_value@11 value value_float@12 value_floats@12 value_int@12 value_ints@12 "
     "value_string@12 value_strings@12"},
    {NULL, "ConstantOfShape", "value"},
    {NULL, "Conv", "auto_pad dilations group kernel_shape pads strides"},
    {NULL, "ConvInteger", "auto_pad dilations group kernel_shape pads strides"},
    {NULL, "ConvTranspose",
     "auto_pad dilations group kernel_shape output_padding output_shape pads strides"},
    {NULL, "Cos", ""},
    {NULL, "Cosh", ""},
    {NULL, "CumProd", "exclusive reverse"},
    {NULL, "CumSum", "exclusive reverse"},
    {NULL, "DFT", "axis@17-19 inverse onesided"},
    {NULL, "DeformConv", "dilations group kernel_shape offset_group pads strides"},
    {NULL, "DepthToSpace", "blocksize mode@11"},
    {NULL, "DequantizeLinear", "axis@13 block_size@21 output_dtype@23"},
    {NULL, "Det", ""},
    {NULL, "Div", "axis@1-6 broadcast@1-6 consumed_inputs@1-5"},
    {NULL, "Dropout", "consumed_inputs@1-5 is_test@1-6 ratio@1-11 seed@12"},
    {NULL, "DynamicQuantizeLinear", ""},
    {NULL, "Einsum", "equation"},
    {NULL, "Elu", "alpha consumed_inputs@1-5"},
    {NULL, "Equal", "axis@1-6 broadcast@1-6"},
    {NULL, "Erf", ""},
    {NULL, "Exp", "consumed_inputs@1-5"},
    {NULL, "Expand", ""},
    {NULL, "EyeLike", "dtype k"},
    {NULL, "Flatten", "axis"},
    {"ai.onnx.preview", "FlexAttention", "prob_mod scale score_mod softmax_precision"},
    {NULL, "Floor", "consumed_inputs@1-5"},
    {NULL, "GRU",
     "activation_alpha activation_beta activations clip direction hidden_size layout@14 "
     "linear_before_reset@3 output_sequence@1-6"},
    {NULL, "Gather", "axis"},
    {NULL, "GatherElements", "axis"},
    {NULL, "GatherND", "batch_dims@12"},
    {NULL, "Gelu", "approximate"},
    {NULL, "Gemm", "alpha beta broadcast@1-6 transA transB"},
    {NULL, "GlobalAveragePool", ""},
    {NULL, "GlobalLpPool", "p"},
    {NULL, "GlobalMaxPool", ""},
    {NULL, "Greater", "axis@1-6 broadcast@1-6"},
    {NULL, "GreaterOrEqual", ""},
    {NULL, "GridSample", "align_corners mode padding_mode"},
    {NULL, "GroupNormalization", "epsilon num_groups stash_type@21"},
    {NULL, "HammingWindow", "output_datatype periodic"},
    {NULL, "HannWindow", "output_datatype periodic"},
    {NULL, "HardSigmoid", "alpha beta consumed_inputs@1-5"},
    {NULL, "HardSwish", ""},
    {NULL, "Hardmax", "axis"},
    {NULL, "Identity", ""},
    {NULL, "If", "else_branch then_branch"},
    {NULL, "InstanceNormalization", "consumed_inputs@1-5 epsilon"},
    {NULL, "IsInf", "detect_negative detect_positive"},
    {NULL, "IsNaN", ""},
    {NULL, "LRN", "alpha beta bias size"},
    {NULL, "LSTM",
     "activation_alpha activation_beta activations clip direction hidden_size input_forget "
     "layout@14 output_sequence@1-6"},
    {"ai.onnx.ml", "LabelEncoder",
     "classes_strings@1-1 default_float@2 default_int64 default_string default_tensor@4 "
     "keys_floats@2 keys_int64s@2 keys_strings@2 keys_tensor@4 values_floats@2 values_int64s@2 "
     "values_strings@2 values_tensor@4"},
    {NULL, "LayerNormalization", "axis epsilon stash_type"},
    {NULL, "LeakyRelu", "alpha consumed_inputs@1-5"},
    {NULL, "Less", "axis@1-6 broadcast@1-6"},
    {NULL, "LessOrEqual", ""},
    {NULL, "LinearAttention", "chunk_size kv_num_heads q_num_heads scale update_rule"},
    {NULL, "Log", "consumed_inputs@1-5"},
    {NULL, "LogSoftmax", "axis"},
    {NULL, "Loop", "body"},
    {NULL, "LpNormalization", "axis p"},
    {NULL, "LpPool", "auto_pad ceil_mode@18 dilations@18 kernel_shape p pads strides"},
    {NULL, "MatMul", ""},
    {NULL, "MatMulInteger", ""},
    {NULL, "Max", "consumed_inputs@1-5"},
    {NULL, "MaxPool",
     "auto_pad ceil_mode@10 dilations@10 kernel_shape pads storage_order@8 strides"},
    {NULL, "MaxRoiPool", "pooled_shape spatial_scale"},
    {NULL, "MaxUnpool", "kernel_shape pads strides"},
    {NULL, "Mean", "consumed_inputs@1-5"},
    {NULL, "MeanVarianceNormalization", "axes"},
    {NULL, "MelWeightMatrix", "output_datatype"},
    {NULL, "Min", "consumed_inputs@1-5"},
    {NULL, "Mish", ""},
    {NULL, "Mod", "fmod"},
    {"ai.onnx.preview.training", "Momentum", "alpha beta mode norm_coefficient"},
    {NULL, "Mul", "axis@1-6 broadcast@1-6 consumed_inputs@1-5"},
    {NULL, "Multinomial", "dtype sample_size seed"},
    {NULL, "Neg", "consumed_inputs@1-5"},
    {NULL, "NegativeLogLikelihoodLoss", "ignore_index reduction"},
    {NULL, "NonMaxSuppression", "center_point_box"},
    {NULL, "NonZero", ""},
    {NULL, "Not", ""},
    {NULL, "OneHot", "axis"},
    {NULL, "Optional", "type"},
    {NULL, "OptionalGetElement", ""},
    {NULL, "OptionalHasElement", ""},
    {NULL, "Or", "axis@1-6 broadcast@1-6"},
    {NULL, "PRelu", "consumed_inputs@1-5"},
    {NULL, "Pad", "mode paddings@1-1 pads@2-10 value@1-10"},
    {NULL, "Pow", "axis@1-6 broadcast@1-6"},
    {NULL, "QLinearConv", "auto_pad dilations group kernel_shape pads strides"},
    {NULL, "QLinearMatMul", ""},
    {NULL, "QuantizeLinear", "axis@13 block_size@21 output_dtype@21 precision@23 saturate@19"},
    {NULL, "RMSNormalization", "axis epsilon stash_type"},
    {NULL, "RNN",
     "activation_alpha activation_beta activations clip direction hidden_size layout@14 "
     "output_sequence@1-6"},
    {NULL, "RandomNormal", "dtype mean scale seed shape"},
    {NULL, "RandomNormalLike", "dtype mean scale seed"},
    {NULL, "RandomUniform", "dtype high low seed shape"},
    {NULL, "RandomUniformLike", "dtype high low seed"},
    {NULL, "Range", "stash_type@27"},
    {NULL, "Reciprocal", "consumed_inputs@1-5"},
    {NULL, "ReduceL1", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceL2", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceLogSum", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceLogSumExp", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceMax", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceMean", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceMin", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceProd", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "ReduceSum", "axes@1-12 keepdims noop_with_empty_axes@13"},
    {NULL, "ReduceSumSquare", "axes@1-17 keepdims noop_with_empty_axes@18"},
    {NULL, "RegexFullMatch", "pattern"},
    {NULL, "Relu", "consumed_inputs@1-5"},
    {NULL, "Reshape", "allowzero@14 consumed_inputs@1-4 shape@1-4"},
    {NULL, "Resize",
     "antialias@18 axes@18 coordinate_transformation_mode@11 cubic_coeff_a@11 "
     "exclude_outside@11 extrapolation_value@11 keep_aspect_ratio_policy@18 mode "
     "nearest_mode@11"},
    {NULL, "ReverseSequence", "batch_axis time_axis"},
    {NULL, "RoiAlign",
     "coordinate_transformation_mode@16 mode output_height output_width sampling_ratio "
     "spatial_scale"},
    {NULL, "RotaryEmbedding", "interleaved num_heads rotary_embedding_dim"},
    {NULL, "Round", ""},
    {NULL, "STFT", "onesided"},
    {NULL, "Scan",
     "body directions@8-8 num_scan_inputs scan_input_axes@9 scan_input_directions@9 "
     "scan_output_axes@9 scan_output_directions@9"},
    {NULL, "Scatter", "axis"},
    {NULL, "ScatterElements", "axis reduction@16"},
    {NULL, "ScatterND", "reduction@16"},
    {NULL, "Selu", "alpha consumed_inputs@1-5 gamma"},
    {NULL, "SequenceAt", ""},
    {NULL, "SequenceConstruct", ""},
    {NULL, "SequenceEmpty", "dtype"},
    {NULL, "SequenceErase", ""},
    {NULL, "SequenceInsert", ""},
    {NULL, "SequenceLength", ""},
    {NULL, "SequenceMap", "body"},
    {NULL, "Shape", "end@15 start@15"},
    {NULL, "Shrink", "bias lambd"},
    {NULL, "Sigmoid", "consumed_inputs@1-5"},
    {NULL, "Sign", ""},
    {NULL, "Sin", ""},
    {NULL, "Sinh", ""},
    {NULL, "Size", ""},
    {NULL, "Slice", "axes@1-9 ends@1-9 starts@1-9"},
    {NULL, "Softmax", "axis"},
    {NULL, "SoftmaxCrossEntropyLoss", "ignore_index reduction"},
    {NULL, "Softplus", ""},
    {NULL, "Softsign", ""},
    {NULL, "SpaceToDepth", "blocksize mode@28"},
    {NULL, "Split", "axis num_outputs@18 split@1-12"},
    {NULL, "SplitToSequence", "axis keepdims"},
    {NULL, "Sqrt", "consumed_inputs@1-5"},
    {NULL, "Squeeze", "axes@1-12"},
    {NULL, "StringConcat", ""},
    {NULL, "StringNormalizer", "case_change_action is_case_sensitive locale stopwords"},
    {NULL, "StringSplit", "delimiter maxsplit"},
    {NULL, "Sub", "axis@1-6 broadcast@1-6 consumed_inputs@1-5"},
    {NULL, "Sum", "consumed_inputs@1-5"},
    {NULL, "SwiGLU", "alpha"},
    {NULL, "Swish", "alpha"},
    {NULL, "Tan", ""},
    {NULL, "Tanh", "consumed_inputs@1-5"},
    {NULL, "TensorScatter", "axis mode"},
    {NULL, "TfIdfVectorizer",
     "max_gram_length max_skip_count min_gram_length mode ngram_counts ngram_indexes "
     "pool_int64s pool_strings weights"},
    {NULL, "ThresholdedRelu", "alpha"},
    {NULL, "Tile", ""},
    {NULL, "TopK", "axis k@1-9 largest@11 sorted@11"},
    {NULL, "Transpose", "perm"},
    {"ai.onnx.ml", "TreeEnsemble",
     "aggregate_function leaf_targetids leaf_weights membership_values n_targets "
     "nodes_falseleafs nodes_falsenodeids nodes_featureids nodes_hitrates "
     "nodes_missing_value_tracks_true nodes_modes nodes_splits nodes_trueleafs "
     "nodes_truenodeids post_transform tree_roots"},
    {NULL, "Trilu", "upper"},
    {NULL, "Unique", "axis sorted"},
    {NULL, "Unsqueeze", "axes@1-12"},
    {NULL, "Upsample", "height_scale@1-6 mode scales@7-8 width_scale@1-6"},
    {NULL, "Where", ""},
    {NULL, "Xor", "axis@1-6 broadcast@1-6"},
};

static const known_attributes *find(const cop_op *op) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *domain = table[i].domain ? table[i].domain : "";
        if (!strcmp(table[i].op, op->name) && !strcmp(domain, op->domain ? op->domain : ""))
            return &table[i];
    }
    return NULL;
}

/* The next word of a list: its name, whether it is there in `opset`. NULL at the end. */
static const char *next_word(const char *text, int64_t opset, size_t *length, bool *there) {
    text += strspn(text, " ");
    *length = strcspn(text, " @");
    *there = true;
    if (text[*length] == '@') {
        char *end;
        long first = strtol(text + *length + 1, &end, 10);
        long last = *end == '-' ? strtol(end + 1, NULL, 10) : 0;
        *there = opset >= first && (!last || opset <= last);
    }
    return *text ? text : NULL;
}

static bool is_known(const char *names, const char *name, int64_t opset) {
    size_t length;
    bool there;
    for (const char *at = names; (at = next_word(at, opset, &length, &there));
         at += strcspn(at, " ")) {
        if (there && strlen(name) == length && !memcmp(name, at, length))
            return true;
    }
    return false;
}

/* The names that are there in `opset`, as "axis, keepdims". */
static void list_names(const char *names, int64_t opset, char *out, size_t room) {
    size_t length, used = 0;
    bool there;
    out[0] = '\0';
    for (const char *at = names; (at = next_word(at, opset, &length, &there));
         at += strcspn(at, " ")) {
        if (there && used + length + 3 < room)
            used += (size_t)snprintf(out + used, room - used, "%s%.*s", used ? ", " : "",
                                     (int)length, at);
    }
}

coppice_status cop_op_check_attributes(const cop_op *op, const cop_node *node, int64_t opset,
                                       coppice_error *err) {
    const known_attributes *known = find(op);
    for (size_t i = 0; known && i < node->attr_count; i++) {
        const char *name = node->attrs[i].name;
        if (is_known(known->names, name, opset))
            continue;
        char names[320];
        list_names(known->names, opset, names, sizeof names);
        return cop_fail(err, COPPICE_UNSUPPORTED, "attribute '%s' is not supported; %s has %s",
                        name, op->name, names[0] ? names : "none");
    }
    return COPPICE_OK;
}
