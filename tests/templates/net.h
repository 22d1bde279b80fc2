// The part of ncnn's interface that main.cpp uses, with ncnn's signatures and padded channels. Instead of computing,
// the network prints what it is given by coordinates, and answers with values that tell their own coordinates.
#include <cstdio>
#include <string>
#include <vector>

namespace ncnn {

struct Option
{
    bool use_fp16_packed = true, use_fp16_storage = true, use_fp16_arithmetic = true;
};

class Mat
{
public:
    void create(int w) { make(1, w, 1, 1, 1); }
    void create(int w, int h) { make(2, w, h, 1, 1); }
    void create(int w, int h, int c) { make(3, w, h, 1, c); }
    void create(int w, int h, int d, int c) { make(4, w, h, d, c); }
    bool empty() const { return !data; }
    Mat channel(int q)
    {
        Mat view = *this;
        view.data += cstep * q;
        return view;
    }
    const Mat channel(int q) const { return const_cast<Mat*>(this)->channel(q); }
    operator float*() { return data; }
    operator const float*() const { return data; }
    float& at(int x, int y, int z, int q) { return data[cstep * q + ((size_t)z * h + y) * w + x]; }

    int dims = 0, w = 0, h = 0, d = 0, c = 0;
    size_t cstep = 0;

private:
    void make(int _dims, int _w, int _h, int _d, int _c)
    {
        dims = _dims, w = _w, h = _h, d = _d, c = _c;
        cstep = (size_t)w * h * d;
        if (dims > 2) cstep = (cstep + 3) / 4 * 4 + 4; // channels are padded
        data = new float[cstep * c]();
    }
    float* data = nullptr;
};

class Extractor
{
public:
    int input(const char* blob_name, const Mat& in)
    {
        Mat mat = in;
        printf("input %s dims %d\n", blob_name, mat.dims);
        for (int q = 0; q < mat.c; q++)
            for (int z = 0; z < mat.d; z++)
                for (int y = 0; y < mat.h; y++)
                    for (int x = 0; x < mat.w; x++)
                        printf("%d %d %d %d %.9g\n", q, z, y, x, mat.at(x, y, z, q));
        shape = mat;
        return 0;
    }
    // Every output has the shape of the last input.
    int extract(const char* blob_name, Mat& feat)
    {
        printf("extract %s\n", blob_name);
        feat.create(shape.w, shape.h, shape.d, shape.c);
        for (int q = 0; q < shape.c; q++)
            for (int z = 0; z < shape.d; z++)
                for (int y = 0; y < shape.h; y++)
                    for (int x = 0; x < shape.w; x++)
                        feat.at(x, y, z, q) = q * 1000 + z * 100 + y * 10 + x;
        return fails ? -1 : 0;
    }
    Mat shape;
    bool fails = false;
};

class Net
{
public:
    int load_param(const char* path) { return readable(path); }
    int load_model(const char* path) { return readable(path); }
    Extractor create_extractor() const
    {
        printf("fp16 %d%d%d\n", opt.use_fp16_packed, opt.use_fp16_storage, opt.use_fp16_arithmetic);
        Extractor extractor;
        extractor.fails = weights.find("failing") != std::string::npos;
        return extractor;
    }
    Option opt;

private:
    int readable(const char* path)
    {
        weights = path;
        FILE* file = fopen(path, "rb");
        return file ? fclose(file) : -1;
    }
    std::string weights;
};

} // namespace ncnn
