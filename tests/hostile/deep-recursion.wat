;; Calls itself until the stack ends.
;;@module
  (func $deeper (param $depth i64) (result i64)
    (i64.add (i64.const 1) (call $deeper (i64.add (local.get $depth) (i64.const 1)))))
;;@map-batch
    (i64.store (i32.const 1024) (call $deeper (i64.const 0)))
