;; A well-behaved mapper of usage, as a core module in the canonical ABI of `gristmill:mapper/product-usage@0.1.0`. It wants
;; the first column, and makes no record of any row. What differs from it stands as in `skeleton.wat`.

(module
  ;;@imports

  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 65536))

  ;; 64: one wanted column.  80: one match key, `crm-id`.  96: one identifier of one key.
  (data (i32.const 64) "\00\00\00\00")
  (data (i32.const 96) "\50\00\00\00\01\00\00\00")

  ;; 256: what `open` returns: no fault; wanted, identifiers, no user.
  (data (i32.const 256) "\00\00\00\00" "\40\00\00\00\01\00\00\00" "\60\00\00\00\01\00\00\00" "\00\00\00\00")

  ;; 512: what `map-batch` and `finish` return: no fault; rows at 516, identifiers at 524, no user at 532, dates at 564, period
  ;; starts at 572, announced series at 580, blocks at 588, issues at 596 (the codes' offsets at 620, the messages' at 636).
  ;; 704: a zero, the one offset of no text.  832: a text column without rows.
  (data (i32.const 524) "\40\03\00\00\01\00\00\00")
  (data (i32.const 620) "\c0\02\00\00\01\00\00\00")
  (data (i32.const 636) "\c0\02\00\00\01\00\00\00")
  (data (i32.const 832) "\c0\02\00\00\01\00\00\00")

  ;;@module

  (func $allocate (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    ;;@realloc
    (local.set $at
      (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (func $release (param $result i32)
    ;;@release
    (global.set $heap (i32.const 65536)))

  (func (export "gristmill:mapper/product-usage@0.1.0#check") (param $text i32) (param $length i32) (result i32)
    ;;@check
    ;; 704: an empty list.
    (i32.const 704))

  (func (export "gristmill:mapper/product-usage@0.1.0#open") (param $arguments i32) (result i32)
    ;;@open
    (i32.const 256))
  (export "cabi_post_gristmill:mapper/product-usage@0.1.0#open" (func $release))

  (func (export "gristmill:mapper/product-usage@0.1.0#map-batch")
    (param $first i32) (param $rows i32) (param $columns i32) (param $width i32) (result i32)
    ;;@map-batch
    (i32.const 512))
  (export "cabi_post_gristmill:mapper/product-usage@0.1.0#map-batch" (func $release))

  (func (export "gristmill:mapper/product-usage@0.1.0#finish") (result i32)
    ;;@finish
    (i32.const 512))
)
