;; Finds what it says graver than an error.
;;@map-batch
    (call $log (i32.const 4) (i32.const 16) (i32.const 1))
