;; A mapper of both kinds that returns what it is told to: the text it gets, two characters a byte, becomes its memory
;; from address 0 on, and what a function returns is the address that stands there.
;;
;; 0: what `check`, `open` and `map-batch` return.  4: what `finish` returns.  8: level, text and length of a line for
;; the log, if the length is not 0.

(module
  (import "gristmill:mapper/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") 8)
  (global $heap (mut i32) (i32.const 65536))

  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (func $become (param $text i32) (param $length i32) (result i32)
    (local $at i32)
    (local.set $length (i32.shr_u (local.get $length) (i32.const 1)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $at) (local.get $length)))
        (i32.store8 (local.get $at)
          (i32.or
            (i32.shl (i32.sub (i32.load8_u (local.get $text)) (i32.const 97)) (i32.const 4))
            (i32.sub (i32.load8_u offset=1 (local.get $text)) (i32.const 97))))
        (local.set $text (i32.add (local.get $text) (i32.const 2)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (global.set $heap (i32.const 65536))
    (if (i32.load (i32.const 16))
      (then (call $log (i32.load (i32.const 8)) (i32.load (i32.const 12)) (i32.load (i32.const 16)))))
    (i32.load (i32.const 0)))

  (func $check (param $text i32) (param $length i32) (result i32)
    (call $become (local.get $text) (local.get $length)))

  ;; The settings are the last argument.
  (func $open (param $arguments i32) (result i32)
    (call $become (i32.load offset=88 (local.get $arguments)) (i32.load offset=92 (local.get $arguments))))

  ;; All text of the first wanted column.
  (func $map-batch (param $first i32) (param $rows i32) (param $columns i32) (param $width i32) (result i32)
    (if (result i32) (local.get $width)
      (then (call $become (i32.load offset=8 (local.get $columns)) (i32.load offset=12 (local.get $columns))))
      (else (i32.load (i32.const 0)))))

  (func $finish (result i32)
    (i32.load (i32.const 4)))

  (export "gristmill:mapper/field-mapping@0.1.0#check" (func $check))
  (export "gristmill:mapper/field-mapping@0.1.0#open" (func $open))
  (export "gristmill:mapper/field-mapping@0.1.0#map-batch" (func $map-batch))
  (export "gristmill:mapper/field-mapping@0.1.0#finish" (func $finish))
  (export "gristmill:mapper/product-usage@0.1.0#check" (func $check))
  (export "gristmill:mapper/product-usage@0.1.0#open" (func $open))
  (export "gristmill:mapper/product-usage@0.1.0#map-batch" (func $map-batch))
  (export "gristmill:mapper/product-usage@0.1.0#finish" (func $finish))
)
