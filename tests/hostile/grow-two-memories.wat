;; Takes less than the limit in each of two memories, and more in both.
;;@module
  (memory $second 4)
;;@map-batch
    (drop (memory.grow (i32.const 600)))
    (drop (memory.grow $second (i32.const 600)))
