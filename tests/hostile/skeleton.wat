;; A well-behaved mapper, as a core module in the canonical ABI of `gristmill:mapper/field-mapping@0.1.0`. Its identifier
;; is the first column, taken as it is; its one field, `n`, holds 7 in every row.
;;
;; Each other file in this folder is a mapper that differs from this one alone where it says `;;@name`: the lines below
;; that go to the line of the same name here.

(module
  (type $write (func (param i32 i32 i32)))
  (import "gristmill:mapper/log@0.1.0" "write" (func $log (type $write)))  ;; level, text, length
  ;;@imports

  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 65536))

  ;; 16: text.  64: one wanted column.  80: one match key, `crm-id`.  96: one identifier of one key.
  (data (i32.const 16) "n")
  (data (i32.const 64) "\00\00\00\00")
  (data (i32.const 96) "\50\00\00\00\01\00\00\00")

  ;; 128: one output field: its name, type integer, plain, no unit, overwrite.
  (data (i32.const 128) "\10\00\00\00\01\00\00\00" "\01\00" "\00" "\00" "\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00")

  ;; 256: what `open` returns: no fault; wanted, identifiers and fields.
  (data (i32.const 256) "\00\00\00\00" "\40\00\00\00\01\00\00\00" "\60\00\00\00\01\00\00\00" "\80\00\00\00\01\00\00\00")

  ;; 512: what `map-batch` and `finish` return, all empty: no fault; rows at 516, identifiers at 524, fields at 532, issues at
  ;; 540 (rows, columns, rejects, the codes' offsets and bytes, the messages' offsets and bytes).
  ;; 640: a zero, the one offset of no text.
  (data (i32.const 512) "\00\00\00\00")
  (data (i32.const 564) "\80\02\00\00\01\00\00\00" "\00\00\00\00\00\00\00\00" "\80\02\00\00\01\00\00\00")

  ;; 768: one field column: integers, every row valid, nothing cleared.
  (data (i32.const 768) "\01")

  ;;@module

  ;; Memory for what the host passes in; taken back after each call.
  (func $allocate (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    ;;@realloc
    (local.set $at
      (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
      (then
        (drop
          (memory.grow
            (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536)))))))
    (local.get $at))

  (func $release (param $result i32)
    ;;@release
    (global.set $heap (i32.const 65536)))

  (func (export "gristmill:mapper/field-mapping@0.1.0#check") (param $text i32) (param $length i32) (result i32)
    ;;@check
    ;; 640: an empty list.
    (i32.const 640))

  (func (export "gristmill:mapper/field-mapping@0.1.0#open") (param $arguments i32) (result i32)
    ;;@open
    (i32.const 256))
  (export "cabi_post_gristmill:mapper/field-mapping@0.1.0#open" (func $release))

  (func (export "gristmill:mapper/field-mapping@0.1.0#map-batch")
    (param $first i32) (param $rows i32) (param $columns i32) (param $width i32) (result i32)
    (local $row i32) (local $numbers i32) (local $values i32)
    (local.set $numbers (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $rows) (i32.const 4))))
    (local.set $values (call $allocate (i32.const 0) (i32.const 0) (i32.const 8) (i32.mul (local.get $rows) (i32.const 8))))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $row) (local.get $rows)))
        (i32.store
          (i32.add (local.get $numbers) (i32.mul (local.get $row) (i32.const 4)))
          (i32.add (local.get $first) (local.get $row)))
        (i64.store (i32.add (local.get $values) (i32.mul (local.get $row) (i32.const 8))) (i64.const 7))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $next)))
    ;; The records' rows.
    (i32.store (i32.const 516) (local.get $numbers))
    (i32.store (i32.const 520) (local.get $rows))
    ;; Source cells have the shape of a text column: the wanted column is the identifier.
    (i32.store (i32.const 524) (local.get $columns))
    (i32.store (i32.const 528) (i32.const 1))
    ;; The field column.
    (i32.store (i32.const 772) (local.get $values))
    (i32.store (i32.const 776) (local.get $rows))
    (i32.store (i32.const 532) (i32.const 768))
    (i32.store (i32.const 536) (i32.const 1))
    ;;@map-batch
    (i32.const 512))
  (export "cabi_post_gristmill:mapper/field-mapping@0.1.0#map-batch" (func $release))

  (func (export "gristmill:mapper/field-mapping@0.1.0#finish") (result i32)
    (i64.store (i32.const 516) (i64.const 0))
    (i64.store (i32.const 524) (i64.const 0))
    (i64.store (i32.const 532) (i64.const 0))
    ;; No record, but still one column for each of the layout's.
    (i32.store (i32.const 524) (i32.const 832))
    (i32.store (i32.const 528) (i32.const 1))
    (i32.store (i32.const 776) (i32.const 0))
    (i32.store (i32.const 532) (i32.const 768))
    (i32.store (i32.const 536) (i32.const 1))
    ;;@finish
    (i32.const 512))
  ;; 832: a text column without rows.
  (data (i32.const 832) "\80\02\00\00\01\00\00\00")
)
