;; Takes memory, a mebibyte at a time, for as long as it gets any.
;;@map-batch
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
