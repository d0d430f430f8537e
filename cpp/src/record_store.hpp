#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace covey {

// Packed records of a range of rows, by part, in the order of the rows. Every part fills runs of memory of its own,
// taken from one allocation as they are needed, so nobody has to count the rows of a part first. Rows go through a
// buffer of some cache lines per part and from there past the cache: the memory of 2,000 parts is written line by line.
class RecordStore {
public:
    static constexpr std::size_t words_at_most = 4;

    // `record_bytes` as of a RecordLayout.
    RecordStore(std::size_t parts, std::size_t rows, std::size_t record_bytes);

    // Adds `size` records: record i is of part learner_index[i] >> shift and is the first `record_bytes` bytes of
    // words[0][i], words[1][i] ... At most the `rows` of the constructor in all.
    void add(const std::int32_t* learner_index, std::size_t size, unsigned shift,
             const std::uint64_t* const words[words_at_most]);

    // After the last record; before the first read.
    void finish();

    std::size_t size(std::size_t part) const { return sizes_[part]; }

    // use(records, count, next) for the runs of a part in order, `next` being the records of the next one, or of any;
    // 8 bytes behind the last record may be read.
    template <typename Use>
    void each_run(std::size_t part, const Use& use) const {
        const std::uint32_t last = part + 1 < sizes_.size() ? first_run_[part + 1] : 0;
        std::uint32_t run = first_run_[part];
        for (std::size_t left = sizes_[part]; left > 0;) {
            const std::size_t count = left < rows_per_run ? left : rows_per_run;
            left -= count;
            const std::uint32_t next = left > 0 ? next_run_[run] : last;
            use(run_data(run), count, run_data(next));
            run = next;
        }
    }

private:
    static constexpr std::size_t rows_per_run = 1024;
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    using Memory = std::unique_ptr<std::byte[], Free>;

    template <std::size_t bytes>
    void add_sized(const std::int32_t* learner_index, std::size_t size, unsigned shift,
                   const std::uint64_t* const words[words_at_most]);
    std::byte* end_of(std::size_t part, std::size_t rows_before);
    std::byte* run_data(std::size_t run) const { return memory_.get() + run * rows_per_run * record_bytes_; }

    std::size_t record_bytes_;
    std::size_t rows_per_flush_;
    Memory memory_;
    Memory buffers_;  // rows_per_flush_ records of each part
    std::vector<std::uint32_t> sizes_;
    std::vector<std::byte*> ends_;  // where the next lines of the part go
    std::vector<std::uint32_t> first_run_;
    std::vector<std::uint32_t> last_run_;
    std::vector<std::uint32_t> next_run_;
    std::size_t runs_ = 0;
};

}  // namespace covey
