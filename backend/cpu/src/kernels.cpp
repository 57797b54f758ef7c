// Compiled once for each instruction set; REUSE_TABLE is the name of its table and REUSE_NAME that of the set.
#include "kernels.hpp"

#include "dense.hpp"
#include "elementwise.hpp"
#include "quantize.hpp"
#include "recurrent_cells.hpp"
#include "sparse.hpp"
#include "trial.hpp"

namespace reuse {

const Kernels REUSE_TABLE = {
    REUSE_NAME,
    kLanes,
    kDenseVector,
    quantize<std::uint8_t>,
    quantize<std::uint16_t>,
    add_rows,
    find_starts,
    find_offsets,
    conv_sparse,
    conv_dense,
    conv_depthwise,
    activate,
    largest,
    activate_transposed,
    gather_channels,
    lstm_cells,
    rnn_cells,
    gru_cells,
    gru_reset,
    gru_cells_reset,
    trial,
};

}  // namespace reuse
