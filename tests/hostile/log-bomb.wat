;; Writes one line of 50 MiB.
;;@map-batch
    (drop (memory.grow (i32.const 800)))
    (call $log (i32.const 1) (i32.const 262144) (i32.const 52428800))
