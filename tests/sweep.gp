# gnuplot -c sweep.gp FILE.tsv FILE.svg [PERCENT]: what `quern-run sweep` wrote, over the size of the weights.
# Above the efficiency of each case, below its ratio to the nearest tuned shape; the line is PERCENT, by
# default 60, and the worst cases say what they are.

if (ARGC < 2) {
	printerr "usage: gnuplot -c sweep.gp FILE.tsv FILE.svg [PERCENT]"
	exit status 2
}
tsv = ARG1
least = ARGC > 2 ? ARG3 + 0 : 60

# The first line says what all rows share; the ratio is the last column.
head = system(sprintf("sed -n '1s/^# quern-run sweep: *//p' '%s'", tsv))
worst = system(sprintf("grep -v '^#' '%s' | awk -F'\t' 'NR > 1 { print $NF }' | sort -n | head -n 5 | tail -n 1", \
	tsv)) + 0
set datafile separator "\t"
set datafile commentschars "#"
stats tsv using "ratio_percent" name "ratio" nooutput

set terminal svg size 1000,900 font "Helvetica,13" background "white"
set output ARG2
set multiplot layout 2,1 margins 0.08,0.89,0.08,0.90 spacing 0.06
set key off
set border 3 lc "#666666"
set tics nomirror out
set grid xtics ytics lc "#dddddd" lt 1
set pointsize 0.8

set logscale x
set format x "%.0s %cB"
set offsets graph 0.02, graph 0.02, 0, 0
set palette defined (0 "#440154", 1 "#3b528b", 2 "#21918c", 3 "#5ec962", 4 "#e8d21d")
set cbrange [1:64]
set cbtics (1, 16, 32, 48, 64)
set cblabel "N, tokens at a time" offset 0.5
set colorbox user origin screen 0.915, 0.08 size screen 0.018, 0.82

set label 1 "quern-run sweep: random shapes beside the nearest tuned ones" at screen 0.08,0.965 \
	font ",18"
set label 2 head at screen 0.08,0.935 font ",11" tc "#555555" noenhanced
set ylabel "efficiency, % of the nearer roof"
set yrange [0:*]
plot tsv using "weight_bytes":"efficiency_percent":"N" with points pt 7 lc palette

unset label
unset colorbox
set xlabel "weights of the case, without padding"
set ylabel "ratio to the nearest tuned shape, %"
set logscale y
set yrange [0.8 * (ratio_min < least ? ratio_min : least) : 1.2 * (ratio_max > 120 ? ratio_max : 120)]
set ytics (2, 5, 10, 20, 40, least, 80, 100, 150, 200, 400, 800)
set arrow 1 from graph 0, first least to graph 1, first least nohead lc "#c00000" lw 1.5
set arrow 2 from graph 0, first 100 to graph 1, first 100 nohead lc "#888888" dt 2
text(format, m, k, n) = sprintf("%s, %dx%d, N = %d", format, m, k, n)
low(ratio) = ratio < least && ratio <= worst ? ratio : NaN
plot tsv using "weight_bytes":"ratio_percent":"N" with points pt 7 lc palette, \
	"" using "weight_bytes":(low(column("ratio_percent"))):(text(stringcolumn("format"), column("M"), column("K"), column("N"))) \
		with labels left offset 0.8,0 font ",11" noenhanced

unset multiplot
